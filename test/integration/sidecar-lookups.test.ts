import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import {
  createClient,
  errorFromStatus,
  message,
  ResolveRequest,
  SelectionReason,
  type ResolveResult,
  type TrafficManagerClient,
} from '../../src/client/index.ts';
import { createDatabase } from '../support/postgres.ts';
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts';
import { keyOf, putPolicy, putRoute, putTenant, startTestSidecar, type TestSidecar } from '../support/sidecar.ts';

const started = new AsyncDisposableStack();
let controlPlane: TestControlPlane;
let sidecar: TestSidecar;

beforeAll(async () => {
  const database = started.use(await createDatabase(inject('postgresUrl')));
  controlPlane = started.use(await startTestControlPlane(database.url));
  await putTenant(controlPlane.client);
  for (const version of ['v1', 'v2', 'v3']) await putRoute(controlPlane.client, { version }, `grpc://${version}:1`);
  await putPolicy(controlPlane.client, {}, { split: { v1: 70, v2: 20, v3: 10 }, defaultVersion: 'v1' });
  await putRoute(controlPlane.client, { service: 'plain', version: 'v1' });
  await putPolicy(controlPlane.client, { service: 'plain' }, { defaultVersion: 'v1' });
  await putRoute(controlPlane.client, { service: 'free', version: 'v1' });
  const off = keyOf({ service: 'off', version: 'v1' });
  await putRoute(controlPlane.client, off);
  const { revision } = await controlPlane.client.routes.deactivateRoute({ key: off });
  const source = `grpc://${controlPlane.address}`;
  sidecar = started.use(await startTestSidecar({ source, scope: { tenants: ['acme'], onDemand: true } }));
  await sidecar.untilRevision('acme', revision);
});

afterAll(async () => {
  await started.disposeAsync();
});

function request(fields: Parameters<typeof keyOf>[0], hashKey = ''): ResolveRequest {
  return message(ResolveRequest, { key: keyOf(fields), hashKey });
}

function urlOf({ result }: ResolveResult): string | undefined {
  return result?.$case === 'response' ? result.value.route?.endpoints[0]?.url : undefined;
}

function reasonOf({ result }: ResolveResult): string | undefined {
  return result?.$case === 'error' ? errorFromStatus(result.value).reason : undefined;
}

describe('one lookup', () => {
  test('by version, with its policy and how fresh it is', async () => {
    const answer = await sidecar.resolve({ version: 'v2' });
    expect(answer).toMatchObject({
      route: { key: keyOf({ version: 'v2' }), endpoints: [{ url: 'grpc://v2:1', weight: 1 }] },
      trafficPolicy: {
        defaultVersion: 'v1',
        split: [{ version: 'v1', weight: 70 }, { version: 'v2' }, { version: 'v3' }],
      },
      selectionReason: SelectionReason.SELECTION_REASON_KEY,
      freshness: { source: 1, stale: false },
    });
    const strong = await controlPlane.client.resolver.resolve({ key: keyOf({ version: 'v2' }) });
    expect({ ...answer, freshness: undefined }).toEqual({ ...strong, freshness: undefined });
  });

  test('by default version, where nothing else decides', async () => {
    expect(await sidecar.resolve({ service: 'plain' })).toMatchObject({
      route: { key: keyOf({ service: 'plain', version: 'v1' }) },
      selectionReason: SelectionReason.SELECTION_REASON_DEFAULT_VERSION,
    });
  });

  test('by split: equal hash keys get equal versions, on the sidecar and on the control plane', async () => {
    const hashKeys = Array.from({ length: 300 }, (_, index) => `user-${index}`);
    const choose = async (client: TrafficManagerClient): Promise<string[]> => {
      const { results } = await client.resolver.batchResolve({ requests: hashKeys.map((key) => request({}, key)) });
      return results.map((result) => urlOf(result) ?? '');
    };
    const chosen = await choose(sidecar.client);
    expect(await choose(sidecar.client)).toEqual(chosen);
    expect(await choose(controlPlane.client)).toEqual(chosen);
    expect(new Set(chosen)).toEqual(new Set(['grpc://v1:1', 'grpc://v2:1', 'grpc://v3:1']));
    expect((await sidecar.resolve({}, { hashKey: 'user-1' })).selectionReason).toBe(
      SelectionReason.SELECTION_REASON_SPLIT,
    );
  });

  test.each([
    ['ROUTE_NOT_FOUND', { version: 'v9' }],
    ['ROUTE_NOT_FOUND', { service: 'nothing' }],
    ['ROUTE_INACTIVE', { service: 'off', version: 'v1' }],
    ['VERSION_NOT_SELECTED', { service: 'free' }],
  ])('%s for %o, as the control plane says it', async (reason, fields) => {
    const failed: unknown = await sidecar.resolve(fields).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 'NOT_FOUND', reason });
    const elsewhere: unknown = await controlPlane.client.resolver
      .resolve({ key: keyOf(fields) })
      .catch((error: unknown) => error);
    const { message: text, metadata } = elsewhere as Error & { metadata: unknown };
    expect(failed).toMatchObject({ message: text, metadata });
  });

  test('a tenant that does not exist', async () => {
    await expect(sidecar.resolve({ tenant: 'nobody' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      reason: 'TENANT_NOT_FOUND',
      metadata: { tenant: 'nobody' },
    });
  });

  test('wrong fields are told all at once', async () => {
    const asked = sidecar.client.resolver.resolve({
      key: keyOf({ tenant: 'ACME', version: '-' }),
      hashKey: 'x'.repeat(257),
      consistency: { requirement: { $case: 'maxStaleness', value: { seconds: 0n, nanos: 0 } } },
    });
    const failed = (await asked.catch((error: unknown) => error)) as { fieldViolations: { field: string }[] };
    expect(failed).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'INVALID_FIELDS' });
    const fields = failed.fieldViolations.map(({ field }) => field);
    expect(fields).toEqual(['key.tenant', 'key.version', 'hash_key', 'consistency.max_staleness']);
  });

  test('over TCP it answers the same', async () => {
    using client = createClient({ address: sidecar.address });
    expect(await client.resolver.resolve({ key: keyOf({ version: 'v3' }) })).toMatchObject({
      route: { endpoints: [{ url: 'grpc://v3:1' }] },
    });
  });
});

describe('BatchResolve', () => {
  test('1,000 keys in one call, in order', async () => {
    const versions = Array.from({ length: 1_000 }, (_, index) => `v${(index % 3) + 1}`);
    const { results } = await sidecar.client.resolver.batchResolve({
      requests: versions.map((version) => request({ version })),
    });
    expect(results.map(urlOf)).toEqual(versions.map((version) => `grpc://${version}:1`));
  });

  test('1,000 keys that only the control plane may answer', async () => {
    const consistency = { requirement: { $case: 'strong' as const, value: true } };
    const requests = Array.from({ length: 1_000 }, () => ({ ...request({ version: 'v1' }), consistency }));
    const { results } = await sidecar.client.resolver.batchResolve({ requests });
    expect(new Set(results.map((result) => urlOf(result) ?? reasonOf(result)))).toEqual(new Set(['grpc://v1:1']));
    expect(results).toHaveLength(1_000);
  });

  test.each([0, 1_001])('%i keys are refused', async (count) => {
    const requests = Array.from({ length: count }, () => request({ version: 'v1' }));
    await expect(sidecar.client.resolver.batchResolve({ requests })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      fieldViolations: [{ field: 'requests' }],
    });
  });

  test('one failing does not fail the others', async () => {
    const { results } = await sidecar.client.resolver.batchResolve({
      requests: [
        request({ version: 'v1' }),
        request({ tenant: 'Wrong' }),
        request({ tenant: 'nobody' }),
        request({ version: 'v2' }),
      ],
    });
    expect(results.map((result) => urlOf(result) ?? reasonOf(result))).toEqual([
      'grpc://v1:1',
      'INVALID_FIELDS',
      'TENANT_NOT_FOUND',
      'grpc://v2:1',
    ]);
  });
});

describe('StreamResolve', () => {
  test('requests that are sent ahead are answered in order, whatever each of them takes', async () => {
    const sent = Array.from({ length: 50 }, (_, index) => ({
      // Every third has to be asked for elsewhere.
      requests: [
        request({ version: `v${(index % 3) + 1}` }),
        index % 3 === 0
          ? { ...request({ version: 'v2' }), consistency: { requirement: { $case: 'strong' as const, value: true } } }
          : request({ service: 'nothing' }),
      ],
    }));
    const answers: string[] = [];
    for await (const { results } of sidecar.client.resolver.streamResolve(generate(sent))) {
      answers.push(results.map((result) => urlOf(result) ?? reasonOf(result)).join(' '));
    }
    expect(answers).toEqual(
      sent.map((_, index) => `grpc://v${(index % 3) + 1}:1 ${index % 3 === 0 ? 'grpc://v2:1' : 'ROUTE_NOT_FOUND'}`),
    );
  });

  test('too many in one message end the stream, and say so', async () => {
    const tooMany = { requests: Array.from({ length: 1_001 }, () => request({ version: 'v1' })) };
    const stream = sidecar.client.resolver.streamResolve(
      generate([{ requests: [request({ version: 'v1' })] }, tooMany]),
    );
    expect((await stream.next()).value?.results.map(urlOf)).toEqual(['grpc://v1:1']);
    await expect(stream.next()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'INVALID_FIELDS' });
  });

  test('a caller may leave in the middle; the sidecar goes on', async () => {
    const leaving = new AbortController();
    let asked = 0;
    async function* endless() {
      for (;;) {
        asked += 1;
        yield { requests: [request({ version: 'v1' })] };
        await turn();
      }
    }
    const stream = sidecar.client.resolver.streamResolve(endless(), { signal: leaving.signal });
    for (let taken = 0; taken < 5; taken++) await stream.next();
    leaving.abort();
    await expect(drain(stream)).rejects.toMatchObject({ code: 'CANCELLED' });
    const askedThen = asked;
    await expect(sidecar.resolve({ version: 'v1' })).resolves.toBeDefined();
    // The requests of a stream that has ended are not read on.
    expect(asked - askedThen).toBeLessThanOrEqual(1);
  });
});

async function* generate<Value>(values: readonly Value[]): AsyncGenerator<Value> {
  yield* values;
}

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}
