import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import { Server, ServerCredentials, type sendUnaryData } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ChannelKind } from '../../src/client/channel.ts';
import { createClient, type TlsSettings, type TrafficManagerClient } from '../../src/client/index.ts';
import { TenantServiceService } from '../../src/gen/trafficmanager/v1/tenant_service.ts';
import { TestAuthority, type Issued } from '../support/certificates.ts';

const answer = { tenants: [], nextPageToken: 'x'.repeat(300_000) };

/** What a client does over TLS, whatever carries its calls. */
export function describeClientOverTls(channel: ChannelKind): void {
  describe(`a client over ${channel} with TLS`, () => {
    let owned: AsyncDisposableStack;
    let authority: TestAuthority;
    let pair: Issued;
    beforeEach(() => {
      owned = new AsyncDisposableStack();
      authority = new TestAuthority();
      pair = authority.issue();
    });
    afterEach(async () => await owned.disposeAsync());

    async function serve({ asksForCertificate = false } = {}): Promise<number> {
      const server = new Server();
      const listTenants = (_call: unknown, reply: sendUnaryData<typeof answer>): void => reply(null, answer);
      server.addService(TenantServiceService, { listTenants });
      const keys = [{ cert_chain: Buffer.from(pair.certificate), private_key: Buffer.from(pair.key) }];
      const roots = Buffer.from(authority.certificate);
      const credentials = ServerCredentials.createSsl(roots, keys, asksForCertificate);
      owned.defer(() => server.forceShutdown());
      return await new Promise((resolve, reject) =>
        server.bindAsync('127.0.0.1:0', credentials, (error, port) => (error === null ? resolve(port) : reject(error))),
      );
    }

    function connect(address: string, tls: TlsSettings | undefined): TrafficManagerClient {
      return owned.use(createClient({ address, channel, tls, defaults: { timeoutMs: 30_000 } }));
    }

    test.each(['127.0.0.1', 'localhost'])('calls a server whose certificate it trusts, at %s', async (host) => {
      const client = connect(`${host}:${await serve()}`, { authorities: authority.certificate });
      const all = await Promise.all(Array.from({ length: 20 }, () => client.tenants.listTenants({})));
      expect(all).toEqual(all.map(() => answer));
    });

    test('looks for the name that it is told', async () => {
      const address = `127.0.0.1:${await serve()}`;
      const authorities = authority.certificate;
      const right = connect(address, { authorities, serverName: 'localhost' });
      expect(await right.tenants.listTenants({})).toEqual(answer);
      const wrong = connect(address, { authorities, serverName: 'elsewhere' });
      await expect(wrong.tenants.listTenants({})).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    });

    test('asks for the server by its name, as servers with several want', async () => {
      const names: string[] = [];
      const callback = (name: string, done: (error: Error | null) => void): void => {
        names.push(name);
        done(null);
      };
      const server = createServer({ key: pair.key, cert: pair.certificate, SNICallback: callback });
      owned.defer(() => void server.close());
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const client = connect(`localhost:${port}`, { authorities: pair.certificate });
      const enough = new AbortController();
      const call = client.tenants.listTenants({}, { signal: enough.signal }).catch((error: unknown) => error);
      await expect.poll(() => names).toContain('localhost');
      // It speaks no HTTP/2, so nothing comes of the call.
      enough.abort();
      await call;
      expect(new Set(names)).toEqual(new Set(['localhost']));
    });

    test('shows its own certificate to a server that asks for one', async () => {
      const address = `localhost:${await serve({ asksForCertificate: true })}`;
      const { certificate: authorities } = authority;
      const known = connect(address, { authorities, ...pair });
      expect(await known.tenants.listTenants({})).toEqual(answer);
      const unknown = connect(address, { authorities });
      await expect(unknown.tenants.listTenants({})).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    });

    test('calls nobody whose certificate it does not trust, and nobody in plain text', async () => {
      const address = `localhost:${await serve()}`;
      for (const tls of [{}, undefined])
        await expect(connect(address, tls).tenants.listTenants({})).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    });
  });
}
