import { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { runProgram } from '../../src/cli/program.ts';
import { ChangeStreamConnection, message, Tenant } from '../../src/client/index.ts';
import { startTestControlPlane, startTestReplicas, type TestReplicas } from '../support/control-plane.ts';
import { provideNatsServer, type TestNats } from '../support/nats.ts';
import { readPublishedStreams } from '../support/published-stream.ts';

describe('how a change stream stands', () => {
  let nats: TestNats;
  let replicas: TestReplicas;
  const owned = new AsyncDisposableStack();

  beforeAll(async () => {
    nats = owned.use(await (await provideNatsServer()).start());
    replicas = owned.use(await startTestReplicas(inject('postgresUrl'), 1, { natsUrl: nats.url }));
    await replicas.replicas[0]?.client.tenants.createTenant({ tenant: message(Tenant, { tenant: 'acme' }) });
    await using published = await readPublishedStreams(nats.url, replicas.databaseUrl);
    await published.untilEqual('acme');
  });
  afterAll(async () => await owned.disposeAsync());

  async function run(address: string, ...args: readonly string[]) {
    const written = { out: '', errors: '' };
    const into = (name: keyof typeof written) =>
      new Writable({
        write: (chunk: Buffer, _encoding, done) => {
          written[name] += chunk.toString();
          done();
        },
      });
    const code = await runProgram(args, {
      env: { TM_CONTROL_PLANE_ADDRESS: address },
      stdout: into('out'),
      stderr: into('errors'),
      signal: new AbortController().signal,
      actor: 'ci',
      newCorrelationId: () => 'c-1',
    });
    return { code, ...written };
  }

  test('is shown on the command line', async () => {
    const { code, out } = await run(replicas.replicas[0]?.address ?? '', 'tenants', 'stream', 'acme');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      change_stream: {
        tenant: 'acme',
        connection: 'CHANGE_STREAM_CONNECTION_CONNECTED',
        term: 1,
        published_revision: 1,
        revision: 1,
        last_reconciliation: { revision: 1, republished: 0 },
      },
    });
  });

  test('is told by a replica without NATS as not configured', async () => {
    await using plain = await startTestControlPlane(replicas.databaseUrl);
    const { changeStream } = await plain.client.changeStreams.getChangeStream({ tenant: 'acme' });
    expect(changeStream).toMatchObject({
      connection: ChangeStreamConnection.CHANGE_STREAM_CONNECTION_NOT_CONFIGURED,
      leader: '',
      epoch: '',
      revision: 1n,
    });
  });

  test('of a tenant that does not exist is TENANT_NOT_FOUND, and of a name that none can have INVALID_ARGUMENT', async () => {
    const { changeStreams } = replicas.replicas[0]?.client ?? {};
    await expect(changeStreams?.getChangeStream({ tenant: 'nobody' })).rejects.toMatchObject({
      reason: 'TENANT_NOT_FOUND',
    });
    await expect(changeStreams?.getChangeStream({ tenant: 'No Body' })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });
});
