import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { sidecarLimits } from '../../sidecar/limits.ts';
import type { WatchResponse } from '../../src/client/index.ts';
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts';
import { createDatabase } from '../support/postgres.ts';
import {
  endsSnapshot,
  keyOf,
  putPolicy,
  putRoute,
  putTenant,
  startTestSidecar,
  takeUntil,
  type TestSidecar,
} from '../support/sidecar.ts';

const started = new AsyncDisposableStack();
let controlPlane: TestControlPlane;
let sidecar: TestSidecar;

beforeAll(async () => {
  const database = started.use(await createDatabase(inject('postgresUrl')));
  controlPlane = started.use(await startTestControlPlane(database.url));
  sidecar = started.use(await startSidecarOf(controlPlane.address));
});
afterAll(async () => await started.disposeAsync());

async function startSidecarOf(source: string): Promise<TestSidecar> {
  return await startTestSidecar({ source: `grpc://${source}`, scope: { tenants: [], onDemand: true } });
}

/** A tenant of a test's own, with routes v1 and v2 of cart and a policy: revisions 1 to 4. */
async function createShop(tenant: string): Promise<bigint> {
  await putTenant(controlPlane.client, tenant);
  await putRoute(controlPlane.client, { tenant, version: 'v1' });
  await putRoute(controlPlane.client, { tenant, version: 'v2' });
  return await putPolicy(controlPlane.client, { tenant }, { defaultVersion: 'v1' });
}

const brisk = { seconds: 0n, nanos: 100_000_000 };

function isProgress({ event }: WatchResponse): boolean {
  return event?.$case === 'progress';
}

function changesOf(messages: readonly WatchResponse[]): string[] {
  return messages.flatMap(({ event }) =>
    event?.$case === 'changeBatch' ? event.value.changes.map(({ revision, action }) => `${revision} ${action}`) : [],
  );
}

/** Takes the first messages up to one, and leaves. */
async function watchUntil(
  client: TestSidecar['client'],
  request: Parameters<TestSidecar['client']['watch']>[0],
  wanted: (message: WatchResponse) => boolean,
): Promise<WatchResponse[]> {
  const messages = client.watch({ progressInterval: brisk, ...request });
  const taken = await takeUntil(messages, wanted);
  await messages.return();
  return taken;
}

describe('Watch on a sidecar', () => {
  test('a snapshot first, then what changes, then progress: the same as on the control plane', async () => {
    const tenant = 'first';
    await createShop(tenant);
    const seen = { sidecar: [] as WatchResponse[], controlPlane: [] as WatchResponse[] };
    const watches = [
      [seen.sidecar, sidecar.client.watch({ tenant, progressInterval: brisk })],
      [seen.controlPlane, controlPlane.client.watch({ tenant, progressInterval: brisk })],
    ] as const;
    for (const [taken, messages] of watches) taken.push(...(await takeUntil(messages, endsSnapshot)));
    const last = await putRoute(controlPlane.client, { tenant, version: 'v1' }, 'grpc://moved:1');
    for (const [taken, messages] of watches) {
      taken.push(...(await takeUntil(messages, (message) => message.revision === last && isProgress(message))));
      await messages.return();
    }
    const told = (messages: readonly WatchResponse[]) =>
      messages
        .filter((message) => !isProgress(message))
        .map(({ revision, commitId, event }) => ({ revision, commitId, event }));
    expect(told(seen.sidecar)).toEqual(told(seen.controlPlane));
    const chunks = seen.sidecar.slice(0, seen.sidecar.findIndex(endsSnapshot) + 1).map(({ event }) => {
      if (event?.$case !== 'snapshotChunk') throw new Error('a snapshot comes first');
      return event.value;
    });
    expect(chunks.flatMap(({ routes }) => routes).map(({ key }) => key?.version)).toEqual(['v1', 'v2']);
    expect(chunks.flatMap(({ trafficPolicies }) => trafficPolicies)).toHaveLength(1);
    expect(changesOf(seen.sidecar)).toEqual([`${last} 2`]);
    expect(seen.sidecar.at(-1)).toMatchObject({ revision: last, event: { $case: 'progress' } });
  });

  test('it resumes after a revision without a gap', async () => {
    const tenant = 'second';
    const before = await createShop(tenant);
    await sidecar.untilRevision(tenant, before);
    const third = await putRoute(controlPlane.client, { tenant, version: 'v3' });
    const fourth = await putRoute(controlPlane.client, { tenant, version: 'v4' });
    await sidecar.untilRevision(tenant, fourth);
    const request = { tenant, afterRevision: before };
    const all = await watchUntil(sidecar.client, request, ({ revision }) => revision === fourth);
    expect(changesOf(all)).toEqual([`${third} 1`, `${fourth} 1`]);
    const { commitId } = all.at(-1) ?? {};
    const rest = await watchUntil(
      sidecar.client,
      { tenant, afterRevision: third },
      ({ revision }) => revision === fourth,
    );
    expect(changesOf(rest)).toEqual([`${fourth} 1`]);
    const none = await watchUntil(
      sidecar.client,
      { tenant, afterRevision: fourth, afterCommitId: commitId },
      isProgress,
    );
    expect(changesOf(none)).toEqual([]);
  });

  test.each([
    ['older than it keeps', { afterRevision: 1n }, 'REVISION_COMPACTED'],
    ['of another history', { afterRevision: 4n, afterCommitId: 'another' }, 'HISTORY_DIVERGED'],
  ] as const)('a resume point that is %s is out of range', async (name, resume, reason) => {
    const tenant = `refused-${name.length}`;
    await createShop(tenant);
    await sidecar.untilRevision(tenant, 4n);
    const stream = sidecar.client.watch({ tenant, ...resume });
    await expect(stream.next()).rejects.toMatchObject({ code: 'OUT_OF_RANGE', reason });
  });

  test('changes that have left its window are out of range: a sidecar keeps no log', async () => {
    const tenant = 'busy';
    await createShop(tenant);
    await sidecar.untilRevision(tenant, 4n);
    let last = 4n;
    const writes = Array.from({ length: sidecarLimits.window.changesMax + 1 }, (_, index) =>
      putRoute(controlPlane.client, { tenant, version: `w${index}` }),
    );
    for (const revision of await Promise.all(writes)) if (revision > last) last = revision;
    await sidecar.untilRevision(tenant, last);
    // The newest unit does not count, and a part of those above may have come as one: a unit of one change makes room.
    last = await putRoute(controlPlane.client, { tenant, version: 'last' });
    await sidecar.untilRevision(tenant, last);
    const stream = sidecar.client.watch({ tenant, afterRevision: 4n });
    await expect(stream.next()).rejects.toMatchObject({ code: 'OUT_OF_RANGE', reason: 'REVISION_COMPACTED' });
    const rest = await watchUntil(
      sidecar.client,
      { tenant, afterRevision: last - 3n },
      ({ revision }) => revision === last,
    );
    expect(changesOf(rest)).toEqual([`${last - 2n} 1`, `${last - 1n} 1`, `${last} 1`]);
  });

  test('a filter leaves out what it does not match, and the resume point still moves', async () => {
    const tenant = 'filtered';
    await createShop(tenant);
    const request = { tenant, services: ['search'], environments: ['production'] };
    const messages = sidecar.client.watch({ ...request, progressInterval: brisk });
    const [snapshot] = await takeUntil(messages, () => true);
    expect(snapshot?.event).toMatchObject({ value: { routes: [], trafficPolicies: [], last: true } });
    await putRoute(controlPlane.client, { tenant, version: 'v9' });
    await putRoute(controlPlane.client, { tenant, service: 'search', environment: 'staging', version: 'v1' });
    const wanted = await putRoute(controlPlane.client, { tenant, service: 'search', version: 'v1' });
    const after = await putRoute(controlPlane.client, { tenant, version: 'v10' });
    const told = await takeUntil(messages, ({ revision }) => revision === after);
    await messages.return();
    expect(changesOf(told)).toEqual([`${wanted} 1`]);
  });

  test('a tenant that is deleted takes no new watches; those there are hear of it, and when it comes back', async () => {
    const tenant = 'deleted';
    const before = await createShop(tenant);
    await sidecar.untilRevision(tenant, before);
    const messages = sidecar.client.watch({ tenant, progressInterval: brisk });
    await takeUntil(messages, endsSnapshot);
    const deleted = (await controlPlane.client.tenants.deleteTenant({ tenant })).change?.revision;
    expect(changesOf(await takeUntil(messages, ({ revision }) => revision === deleted))).toEqual([`${deleted} 5`]);
    const notFound = { code: 'NOT_FOUND', reason: 'TENANT_NOT_FOUND' };
    await expect(sidecar.resolve({ tenant, version: 'v1' })).rejects.toMatchObject(notFound);
    await using later = await startSidecarOf(controlPlane.address);
    await expect(later.resolve({ tenant, version: 'v1' })).rejects.toMatchObject(notFound);
    for (const { client } of [sidecar, later, controlPlane])
      await expect(client.watch({ tenant }).next()).rejects.toMatchObject(notFound);
    // Who was cut off meanwhile still hears of it.
    for (const { client } of [sidecar, controlPlane]) {
      const resumed = await watchUntil(
        client,
        { tenant, afterRevision: before },
        ({ revision }) => revision === deleted,
      );
      expect(changesOf(resumed)).toEqual([`${deleted} 5`]);
    }
    const restored = (await controlPlane.client.tenants.undeleteTenant({ tenant })).change?.revision;
    expect(changesOf(await takeUntil(messages, ({ revision }) => revision === restored))).toEqual([`${restored} 6`]);
    await messages.return();
    for (const each of [sidecar, later])
      await each.untilResolved({ tenant, version: 'v1' }, ({ freshness }) => freshness?.revision === restored);
  });

  test('a tenant that does not exist cannot be watched', async () => {
    const stream = sidecar.client.watch({ tenant: 'nobody' });
    await expect(stream.next()).rejects.toMatchObject({ code: 'NOT_FOUND', reason: 'TENANT_NOT_FOUND' });
  });

  test.each([
    [{ tenant: 'Wrong' }, 'tenant'],
    [{ tenant: 'acme', afterRevision: -1n }, 'after_revision'],
    [{ tenant: 'acme', progressInterval: { seconds: 0n, nanos: 99_999_999 } }, 'progress_interval'],
    [{ tenant: 'acme', services: Array.from({ length: 1_001 }, () => 'a') }, 'services'],
  ])('wrong fields are refused: %#', async (request, field) => {
    const stream = sidecar.client.watch(request);
    await expect(stream.next()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', fieldViolations: [{ field }] });
  });
});

describe('several sidecars', () => {
  test('each holds what the control plane has', async () => {
    const tenant = 'shared';
    await createShop(tenant);
    await using other = await startSidecarOf(controlPlane.address);
    const both = [sidecar, other];
    for (let write = 0; write < 10; write++) {
      const url = `grpc://write-${write}:1`;
      const revision = await putRoute(controlPlane.client, { tenant, version: 'v1' }, url);
      const consistency = { $case: 'minRevision', value: revision } as const;
      const answers = await Promise.all(both.map((each) => each.resolve({ tenant, version: 'v1' }, { consistency })));
      for (const { route, freshness } of answers) {
        expect(route?.endpoints[0]?.url).toBe(url);
        expect(freshness).toMatchObject({ source: 1, revision });
      }
    }
  });

  test('one follows another as it would follow the control plane', async () => {
    const tenant = 'chained';
    const before = await createShop(tenant);
    await using second = await startSidecarOf(sidecar.address);
    await second.untilRevision(tenant, before);
    const last = await putRoute(controlPlane.client, { tenant, version: 'v1' }, 'grpc://chained:1');
    await second.untilRevision(tenant, last);
    const [route] = [(await second.resolve({ tenant, version: 'v1' })).route];
    expect(route).toMatchObject({ key: keyOf({ tenant, version: 'v1' }), endpoints: [{ url: 'grpc://chained:1' }] });
    // It took the change, not another snapshot.
    const told = await watchUntil(
      second.client,
      { tenant, afterRevision: before },
      ({ revision }) => revision === last,
    );
    expect(changesOf(told)).toEqual([`${last} 2`]);
  });
});
