import type { AddressInfo, Server as NetServer } from 'node:net';
import { join } from 'node:path';
import { Client, credentials, Metadata, status, type ChannelCredentials } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { tokenGuard } from '../../sidecar/front/token-guard.ts';
import type { Front } from '../../sidecar/front/front.ts';
import { errorFromStatus } from '../../src/client/index.ts';
import { Status } from '../../src/gen/google/rpc/status.ts';
import { ResolverServiceService } from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { WatchServiceService } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import { addReflection } from '../../src/platform/grpc/add-reflection.ts';
import type { Instant } from '../../src/platform/grpc/handlers.ts';
import { addHealth } from '../../src/platform/grpc/health.ts';
import type { TlsIdentity } from '../../src/platform/grpc/listening.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { serviceOptions } from '../../src/serving/service-options.ts';
import { answerAtOnce } from '../support/answer-at-once.ts';
import { TestAuthority, type Issued } from '../support/certificates.ts';
import { makeSocketDirectory } from '../support/sidecar.ts';

const token = 'a-token-of-16-or-more';
const reflectionPath = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
const resolvePath = ResolverServiceService.resolve.path;
const same = (bytes: Buffer): Buffer => bytes;
const empty = Buffer.alloc(0);
const refusedStatus = { code: status.UNAUTHENTICATED, reason: 'CREDENTIAL_REQUIRED', correlationId: 'the-id' };

type Ended = { readonly code: number; readonly details: string; readonly metadata: Metadata };
type Call = { readonly path: string; readonly shape: 'unary' | 'stream' | 'bidi' };

const guarded: readonly Call[] = [
  { path: resolvePath, shape: 'unary' },
  { path: ResolverServiceService.batchResolve.path, shape: 'unary' },
  { path: ResolverServiceService.streamResolve.path, shape: 'bidi' },
  { path: WatchServiceService.watch.path, shape: 'stream' },
  { path: WatchServiceService.getPosition.path, shape: 'unary' },
  { path: reflectionPath, shape: 'bidi' },
  { path: reflectionPath.replace('v1', 'v1alpha'), shape: 'bidi' },
];

/** The part of the contract of {@link Front} about what callers must show: the same, whichever adapter stands behind it. */
export function describeFrontCredentials(name: string, create: (options: { drainMs: number }) => Promise<Front>): void {
  describe(`the credentials of a front over ${name}`, () => {
    const authority = new TestAuthority();
    const server = authority.issue();
    const trusted = Buffer.from(authority.certificate);
    let owned: AsyncDisposableStack;
    let front: Front;
    /** What was answered, by whom. */
    let answered: string[];

    beforeEach(async () => {
      owned = new AsyncDisposableStack();
      front = owned.use(await create({ drainMs: 0 }));
      answered = [];
      serve();
    });
    afterEach(async () => await owned.disposeAsync());

    function serve(): void {
      const options = serviceOptions({ logger: createLogger('test', 'silent'), draining: front.draining });
      const note = (what: string): Promise<Buffer> => {
        answered.push(what);
        return Promise.resolve(empty);
      };
      const instant: Instant = (_request, place) => {
        answered.push('instant');
        return answerAtOnce(place, empty);
      };
      front.serve(
        ResolverServiceService,
        {
          resolve: () => note('resolve'),
          batchResolve: () => note('batchResolve'),
          streamResolve: async (requests) => {
            for await (const _request of requests) await note('streamResolve');
          },
        },
        { ...options, instants: { resolve: instant, batchResolve: instant, streamResolve: instant } },
      );
      front.serve(
        WatchServiceService,
        { watch: async () => void (await note('watch')), getPosition: () => note('getPosition') },
        options,
      );
      addReflection(front.library);
      addHealth(front.library, [], front).set(true);
    }

    const guard = () =>
      tokenGuard(token, serviceOptions({ logger: createLogger('test', 'silent'), draining: front.draining }));

    function connect(address: string, by: ChannelCredentials = credentials.createInsecure()): Client {
      const client = new Client(address, by, { 'grpc.enable_retries': 0 });
      owned.defer(() => client.close());
      return client;
    }

    /** How a call ends that says one message. */
    function end(
      client: Client,
      { path, shape }: Call,
      headers: Readonly<Record<string, string>> = {},
      message = empty,
    ): Promise<Ended> {
      const metadata = new Metadata();
      for (const [key, value] of Object.entries({ 'x-correlation-id': 'the-id', ...headers })) metadata.set(key, value);
      const options = { deadline: Date.now() + 10_000 };
      return new Promise((resolve) => {
        switch (shape) {
          case 'unary':
            client.makeUnaryRequest(path, same, same, message, metadata, options, () => {}).on('status', resolve);
            break;
          case 'stream': {
            const call = client.makeServerStreamRequest(path, same, same, message, metadata, options);
            call
              .on('error', () => {})
              .on('status', resolve)
              .resume();
            break;
          }
          case 'bidi': {
            const call = client.makeBidiStreamRequest(path, same, same, metadata, options);
            call
              .on('error', () => {})
              .on('status', resolve)
              .resume();
            call.end(message);
          }
        }
      });
    }

    const bearing = (text: string) => ({ authorization: `Bearer ${text}` });

    function seen({ code, metadata }: Ended): { code: number; reason: string | undefined; correlationId: unknown } {
      const details = metadata.get('grpc-status-details-bin')[0];
      const reason = details instanceof Buffer ? errorFromStatus(Status.decode(details)).reason : undefined;
      return { code, reason, correlationId: metadata.get('x-correlation-id')[0] };
    }

    test.each(guarded)('refuses $path without the token, and nobody answers', async (call) => {
      const client = connect(await front.listen('127.0.0.1:0', { guard: guard() }));
      for (const headers of [
        {},
        bearing('a-token-of-16-or-mere'),
        bearing(token.slice(0, -1)),
        bearing(`${token} `.repeat(2).trim()),
        { authorization: token },
        { 'x-token': token },
      ])
        expect(seen(await end(client, call, headers))).toEqual(refusedStatus);
      expect(answered).toEqual([]);
    });

    test.each(guarded)('lets $path pass with the token', async (call) => {
      const client = connect(await front.listen('127.0.0.1:0', { guard: guard() }));
      expect(await end(client, call, bearing(token))).toMatchObject({ code: status.OK });
      if (call.path === resolvePath) expect(answered).toEqual(['instant']);
    });

    test('says what is wrong: there is no token, or another', async () => {
      const client = connect(await front.listen('127.0.0.1:0', { guard: guard() }));
      const call = { path: resolvePath, shape: 'unary' } as const;
      expect((await end(client, call)).details).toMatch(/send it as authorization: Bearer/);
      const { details } = await end(client, call, bearing('some-other-token'));
      expect(details).toMatch(/not that of this sidecar/);
      expect(details).not.toContain('some-other-token');
    });

    test('makes a correlation id for a refusal where the caller gave none', async () => {
      const client = connect(await front.listen('127.0.0.1:0', { guard: guard() }));
      const refused = await end(client, { path: resolvePath, shape: 'unary' }, { 'x-correlation-id': 'x'.repeat(200) });
      expect(seen(refused).correlationId).toMatch(/^[0-9a-f-]{36}$/);
    });

    test('refuses thousands of calls on one connection, and each of them with its status', async () => {
      const client = connect(await front.listen('127.0.0.1:0', { guard: guard() }));
      const message = Buffer.alloc(100);
      const codes = await Promise.all(
        Array.from(
          { length: 3_000 },
          async () => (await end(client, { path: resolvePath, shape: 'unary' }, {}, message)).code,
        ),
      );
      expect(new Set(codes)).toEqual(new Set([status.UNAUTHENTICATED]));
    });

    test('answers probes of its health without the token', async () => {
      const client = connect(await front.listen('127.0.0.1:0', { guard: guard() }));
      const check = { path: '/grpc.health.v1.Health/Check', shape: 'unary' } as const;
      expect(await end(client, check)).toMatchObject({ code: status.OK });
    });

    test('asks for the token where it is told to, and nowhere else', async () => {
      const { path } = owned.use(await makeSocketDirectory());
      const tcp = connect(await front.listen('127.0.0.1:0', { guard: guard() }));
      const socket = connect(await front.listen(`unix:${join(path, 'front.sock')}`));
      for (const call of guarded) {
        expect(await end(socket, call)).toMatchObject({ code: status.OK });
        expect(seen(await end(tcp, call))).toEqual(refusedStatus);
      }
    });

    test('has no other port of this machine that answers without it', async () => {
      await front.listen('127.0.0.1:0', { guard: guard() });
      const ports = portsOf(front);
      expect(ports).toHaveLength(1);
      for (const port of ports)
        for (const call of guarded)
          expect([status.UNAUTHENTICATED, status.UNIMPLEMENTED]).toContain(
            (await end(connect(`127.0.0.1:${port}`), call, { 'x-traffic-manager-inside': 'guessed' })).code,
          );
    });

    const identity = (clientAuthorities?: string): TlsIdentity => ({
      certificate: Buffer.from(server.certificate),
      key: Buffer.from(server.key),
      clientAuthorities: clientAuthorities === undefined ? undefined : Buffer.from(clientAuthorities),
    });

    function believing(roots: Buffer | null, own?: Issued): ChannelCredentials {
      if (own === undefined) return credentials.createSsl(roots);
      return credentials.createSsl(roots, Buffer.from(own.key), Buffer.from(own.certificate));
    }

    const resolveCall = { path: resolvePath, shape: 'unary' } as const;

    test('speaks TLS with those who believe its certificate, and nothing with others', async () => {
      const address = await front.listen('127.0.0.1:0', { tls: identity() });
      for (const call of guarded)
        expect(await end(connect(address, believing(trusted)), call)).toMatchObject({ code: status.OK });
      const before = answered.length;
      const others = [credentials.createInsecure(), believing(Buffer.from(new TestAuthority().certificate))];
      for (const by of others)
        expect(await end(connect(address, by), resolveCall)).toMatchObject({ code: status.UNAVAILABLE });
      expect(answered).toHaveLength(before);
    });

    test('takes only clients with a certificate of an authority that it believes, where it is told to', async () => {
      const address = await front.listen('127.0.0.1:0', { tls: identity(authority.certificate) });
      const own = authority.issue('an app');
      expect(await end(connect(address, believing(trusted, own)), resolveCall)).toMatchObject({ code: status.OK });
      const stranger = new TestAuthority().issue('an app');
      for (const by of [believing(trusted), believing(trusted, stranger), credentials.createInsecure()])
        expect(await end(connect(address, by), resolveCall)).toMatchObject({ code: status.UNAVAILABLE });
      const probe = { path: '/grpc.health.v1.Health/Check', shape: 'unary' } as const;
      expect(await end(connect(address, believing(trusted)), probe)).toMatchObject({ code: status.UNAVAILABLE });
      expect(answered).toEqual(['instant']);
    });

    test('asks for a certificate and for the token, where it is told to ask for both', async () => {
      const address = await front.listen('127.0.0.1:0', { tls: identity(authority.certificate), guard: guard() });
      const client = connect(address, believing(trusted, authority.issue('an app')));
      expect(seen(await end(client, resolveCall))).toEqual(refusedStatus);
      expect(await end(client, resolveCall, bearing(token))).toMatchObject({ code: status.OK });
    });
  });
}

/** Where its library listens: what grpc-js tells nobody. */
function portsOf({ library }: Front): number[] {
  const { http2Servers } = library as unknown as { readonly http2Servers: ReadonlyMap<NetServer, unknown> };
  return Array.from(http2Servers.keys(), (each) => (each.address() as AddressInfo).port);
}
