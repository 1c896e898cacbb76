import { expect, test } from 'vitest';
import type { Scope } from '../../../sidecar/config.ts';
import { LookupAdmission } from '../../../sidecar/guard/lookup-admission.ts';
import { sidecarLimits } from '../../../sidecar/limits.ts';
import type { AskControlPlane } from '../../../sidecar/lookup/ask-control-plane.ts';
import { SidecarResolver } from '../../../sidecar/lookup/sidecar-resolver.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import { Subscriptions } from '../../../sidecar/sync/subscriptions.ts';
import { TenantSync } from '../../../sidecar/sync/tenant-sync.ts';
import { DomainError } from '../../../src/domain/domain-error.ts';
import type { Consistency } from '../../../src/domain/freshness.ts';
import type { CallContext } from '../../../src/platform/grpc/handlers.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { createRoute, exampleKey, moveRoute } from '../../fakes/example-configuration.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { callContext } from '../../fakes/sidecar-call-context.ts';
import { rangeOf, SidecarHistory } from '../../fakes/sidecar-history.ts';
import { SidecarScriptedSource } from '../../fakes/sidecar-scripted-source.ts';

const key = exampleKey();
const eventual: Consistency = { kind: 'eventual' };
const within = (stalenessMsMax: number): Consistency => ({ kind: 'max_staleness', stalenessMsMax });
const atLeast = (revision: number): Consistency => ({ kind: 'min_revision', revision });

const outOfReach = new DomainError('CONTROL_PLANE_UNAVAILABLE', 'out of reach', { retryDelayMs: 2_000 });

/** The control plane's answers all have revision 99. */
function start({
  scope = { tenants: ['acme'], onDemand: false },
  bytesMax = 1_000_000,
}: { scope?: Scope; bytesMax?: number } = {}) {
  const clock = new FakeClock();
  clock.advance(1);
  const source = new SidecarScriptedSource();
  const memory = new SnapshotMemory({ bytesMax });
  const logger = createLogger('sidecar', 'silent');
  const subscriptions = new Subscriptions({
    scope,
    clock,
    start: (tenant) =>
      new TenantSync({ tenant, memory: memory.tenant(tenant), source, clock, random: () => 1, logger }),
    release: (tenant) => memory.release(tenant),
  });
  const history = new SidecarHistory('acme');
  history.commit(createRoute(key));
  const asked: Consistency[] = [];
  const controlPlane = { isReachable: true };
  const askControlPlane: AskControlPlane = async (_lookup, consistency) => {
    asked.push(consistency);
    if (!controlPlane.isReachable) throw outOfReach;
    const [route] = history.snapshot().routes;
    if (route === undefined) throw new Error('there is a route');
    const freshness = { source: 'CONTROL_PLANE', revision: 99, stalenessMs: 0, stale: false } as const;
    return { resolution: { route, policy: undefined, reason: 'KEY' }, freshness };
  };
  const resolver = new SidecarResolver({
    subscriptions,
    askControlPlane,
    admission: new LookupAdmission(sidecarLimits.admission),
    clock,
    random: () => 0.5,
  });
  const resolve = (consistency: Consistency, context: CallContext = callContext(), service = key.service) =>
    resolver.resolve({ ...key, service, hashKey: '', attributes: {}, method: '' }, consistency, context).then(
      ({ resolution, freshness }) => ({ url: resolution.route.endpoints[0]?.url, ...freshness }),
      (error: unknown) => ({ error }),
    );
  const deadlineIn = (remainingMs: number): CallContext =>
    callContext({ deadlineMs: clock.wallMs() + remainingMs + sidecarLimits.answerReserveMs });
  return {
    clock,
    source,
    history,
    asked,
    controlPlane,
    resolve,
    deadlineIn,
    [Symbol.asyncDispose]: () => subscriptions[Symbol.asyncDispose](),
  };
}

async function startLive(options: Parameters<typeof start>[0] = {}) {
  const run = start(options);
  const following = await run.source.following(1);
  following.tell((sink) => sink.snapshot(run.history.snapshot(), 0));
  return { ...run, following };
}

function failure(reason: string, fields: Record<string, unknown> = {}): unknown {
  return { error: expect.objectContaining({ reason, ...fields }) as unknown };
}

/** Whether it has come to an end when everybody has had a turn. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const later = new Promise<string>((resolve) => setImmediate(() => resolve('later')));
  return (await Promise.race([promise, later])) !== 'later';
}

test('memory answers, and says how fresh it is', async () => {
  await using run = await startLive();
  const { resolve, clock, asked, following } = run;
  const url = 'grpc://cart.acme.internal:8443';
  expect(await resolve(eventual)).toEqual({ url, source: 'SNAPSHOT', revision: 2, stalenessMs: 0, stale: false });
  following.end('disconnected');
  await clock.untilSomebodySleeps();
  clock.advance(60_000);
  expect(await resolve(eventual)).toEqual({ url, source: 'SNAPSHOT', revision: 2, stalenessMs: 60_000, stale: true });
  expect(asked).toEqual([]);
});

test('what is not in a complete memory does not exist; the control plane is not asked', async () => {
  await using run = await startLive();
  const { resolve, asked } = run;
  expect(await resolve(eventual, callContext(), 'nothing')).toEqual(failure('ROUTE_NOT_FOUND'));
  expect(asked).toEqual([]);
});

test.each([1_000_000, 500])(
  'a tenant that was deleted does not exist, and comes back as it was (memory of %i bytes); the control plane is not asked',
  async (bytesMax) => {
    await using run = await startLive({ bytesMax });
    const { resolve, asked, following, history, controlPlane } = run;
    const before = await resolve(eventual);
    following.tell((sink) =>
      sink.changes(rangeOf(history.commit({ kind: 'delete_tenant', tenant: 'acme', etag: '' })), 0),
    );
    controlPlane.isReachable = false;
    asked.length = 0;
    for (const consistency of [eventual, within(1_000), atLeast(3)])
      expect(await resolve(consistency)).toEqual(failure('TENANT_NOT_FOUND'));
    expect(asked).toEqual([]);
    controlPlane.isReachable = true;
    following.tell((sink) =>
      sink.changes(rangeOf(history.commit({ kind: 'undelete_tenant', tenant: 'acme', etag: '' })), 0),
    );
    expect(await resolve(eventual)).toMatchObject({ ...before, revision: bytesMax === 500 ? 99 : 4 });
  },
);

test('a deleted tenant stays so when its source says that there is no such tenant', async () => {
  await using run = await startLive();
  const { resolve, asked, following, history, clock } = run;
  following.tell((sink) =>
    sink.changes(rangeOf(history.commit({ kind: 'delete_tenant', tenant: 'acme', etag: '' })), 0),
  );
  following.end('tenant_not_found');
  await clock.untilSomebodySleeps();
  expect(await resolve(eventual)).toEqual(failure('TENANT_NOT_FOUND'));
  expect(asked).toEqual([]);
});

test('what memory had no room for is asked for', async () => {
  await using run = await startLive({ bytesMax: 500 });
  const { resolve, asked, controlPlane } = run;
  expect(await resolve(eventual)).toMatchObject({ source: 'CONTROL_PLANE', revision: 99 });
  expect(asked).toEqual([eventual]);
  controlPlane.isReachable = false;
  expect(await resolve(eventual)).toEqual({ error: outOfReach });
});

test('strong is always asked for', async () => {
  await using run = await startLive();
  const { resolve, asked, controlPlane } = run;
  expect(await resolve({ kind: 'strong' })).toMatchObject({ source: 'CONTROL_PLANE', revision: 99 });
  controlPlane.isReachable = false;
  expect(await resolve({ kind: 'strong' })).toEqual({ error: outOfReach });
  expect(asked).toHaveLength(2);
});

test('max_staleness is met by memory up to the millisecond, then by the control plane, or by neither', async () => {
  await using run = await startLive();
  const { resolve, clock, asked, controlPlane } = run;
  clock.advance(300);
  expect(await resolve(within(300))).toMatchObject({ source: 'SNAPSHOT', stalenessMs: 300 });
  expect(asked).toEqual([]);
  expect(await resolve(within(299))).toMatchObject({ source: 'CONTROL_PLANE' });
  expect(asked).toEqual([within(299)]);
  controlPlane.isReachable = false;
  const exceeded = { retryDelayMs: 1_000, metadata: { staleness_ms: '300', max_staleness_ms: '299' } };
  expect(await resolve(within(299))).toEqual(failure('STALENESS_EXCEEDED', exceeded));
});

test('min_revision is met at once by a memory that is there', async () => {
  await using run = await startLive();
  expect(await run.resolve(atLeast(2))).toMatchObject({ source: 'SNAPSHOT', revision: 2 });
  expect(run.asked).toEqual([]);
});

test('min_revision waits for the revision to arrive', async () => {
  await using run = await startLive();
  const { resolve, deadlineIn, following, history, asked } = run;
  const resolving = resolve(atLeast(4), deadlineIn(1_000));
  following.tell((sink) => sink.changes(rangeOf(history.commit(moveRoute(key, 'grpc://third:1'))), 0));
  expect(await isSettled(resolving)).toBe(false);
  following.tell((sink) => sink.changes(rangeOf(history.commit(moveRoute(key, 'grpc://fourth:1'))), 0));
  expect(await resolving).toMatchObject({ source: 'SNAPSHOT', revision: 4, url: 'grpc://fourth:1' });
  expect(asked).toEqual([]);
});

test('min_revision asks the control plane when half of the time is gone, and says what is missing when that fails', async () => {
  await using run = await startLive();
  const { resolve, clock, deadlineIn, asked, controlPlane } = run;
  const resolving = resolve(atLeast(9), deadlineIn(1_000));
  expect(await isSettled(resolving)).toBe(false);
  clock.advance(499);
  expect(await isSettled(resolving)).toBe(false);
  expect(asked).toEqual([]);
  clock.advance(1);
  expect(await resolving).toMatchObject({ source: 'CONTROL_PLANE' });
  expect(asked).toEqual([atLeast(9)]);
  controlPlane.isReachable = false;
  const again = resolve(atLeast(9), deadlineIn(100));
  expect(await isSettled(again)).toBe(false);
  clock.advance(50);
  const missing = { metadata: { revision: '9', held_revision: '2' }, retryDelayMs: 500 };
  expect(await again).toEqual(failure('REVISION_NOT_REACHED', missing));
});

test('min_revision does not wait for a source that is cut off', async () => {
  await using run = await startLive();
  const { resolve, clock, following, deadlineIn } = run;
  following.end('disconnected');
  await clock.untilSomebodySleeps();
  expect(await resolve(atLeast(9), deadlineIn(60_000))).toMatchObject({ source: 'CONTROL_PLANE' });
});

test('before the first snapshot a lookup waits for it, up to its deadline', async () => {
  await using run = start();
  const { resolve, source, history, clock, deadlineIn, asked } = run;
  const early = resolve(eventual, deadlineIn(1_000));
  const late = resolve(eventual, deadlineIn(999));
  clock.advance(999);
  expect(await late).toEqual(failure('SNAPSHOT_NOT_READY', { retryDelayMs: 1_000 }));
  expect(await isSettled(early)).toBe(false);
  (await source.following(1)).tell((sink) => sink.snapshot(history.snapshot(), 0));
  expect(await early).toMatchObject({ source: 'SNAPSHOT', revision: 2 });
  expect(asked).toEqual([]);
});

test('a lookup without a deadline does not wait for ever', async () => {
  await using run = start();
  const resolving = run.resolve(eventual);
  run.clock.advance(sidecarLimits.defaultWaitMs - 1);
  expect(await isSettled(resolving)).toBe(false);
  run.clock.advance(1);
  expect(await resolving).toEqual(failure('SNAPSHOT_NOT_READY'));
});

test('a lookup whose caller has gone waits no longer', async () => {
  await using run = start();
  const caller = new AbortController();
  const resolving = run.resolve(eventual, callContext({ signal: caller.signal }));
  expect(await isSettled(resolving)).toBe(false);
  caller.abort();
  expect(await resolving).toEqual(failure('SNAPSHOT_NOT_READY'));
});

test.each([within(1_000), atLeast(1)])(
  'before the first snapshot %o is asked for with half of the time',
  async (consistency) => {
    await using run = start();
    const { resolve, clock, deadlineIn, asked, controlPlane } = run;
    const resolving = resolve(consistency, deadlineIn(1_000));
    clock.advance(500);
    expect(await resolving).toMatchObject({ source: 'CONTROL_PLANE' });
    expect(asked).toEqual([consistency]);
    controlPlane.isReachable = false;
    const again = resolve(consistency, deadlineIn(1_000));
    clock.advance(500);
    expect(await again).toEqual({ error: outOfReach });
  },
);

test('a tenant of the scope that the source does not know does not exist, as far as is known', async () => {
  await using run = start();
  const { resolve, source, clock, asked } = run;
  (await source.following(1)).end('tenant_not_found');
  await clock.untilSomebodySleeps();
  expect(await resolve(eventual)).toEqual(failure('TENANT_NOT_FOUND'));
  expect(asked).toEqual([]);
});

test.each([within(1_000), atLeast(1)])(
  'whether such a tenant has come meanwhile is asked for %o',
  async (consistency) => {
    await using run = start();
    const { resolve, source, clock, asked } = run;
    (await source.following(1)).end('tenant_not_found');
    await clock.untilSomebodySleeps();
    expect(await resolve(consistency)).toMatchObject({ source: 'CONTROL_PLANE' });
    expect(asked).toEqual([consistency]);
  },
);

test.each([within(1_000), atLeast(1)])(
  'and so it is on demand, while the tenant is believed absent, for %o',
  async (consistency) => {
    await using run = start({ scope: { tenants: [], onDemand: true } });
    const { resolve, source, asked } = run;
    const first = resolve(eventual);
    (await source.following(1)).end('tenant_not_found');
    expect(await first).toEqual(failure('TENANT_NOT_FOUND'));
    expect(await resolve(eventual)).toEqual(failure('TENANT_NOT_FOUND'));
    expect(asked).toEqual([]);
    expect(await resolve(consistency)).toMatchObject({ source: 'CONTROL_PLANE' });
  },
);

test('a tenant out of scope is asked for', async () => {
  await using run = start({ scope: { tenants: [], onDemand: false } });
  expect(await run.resolve(eventual)).toMatchObject({ source: 'CONTROL_PLANE' });
  expect(run.source.followings).toEqual([]);
});

test('however many wait, what memory answers at once is answered, and one more that would wait is told to come again', async () => {
  await using run = await startLive();
  const { resolve, asked } = run;
  const callers = new AbortController();
  const context = callContext({ signal: callers.signal });
  const waiting = Array.from({ length: sidecarLimits.admission.waitingPerTenantMax }, () =>
    resolve(atLeast(999), context),
  );
  expect(await resolve(atLeast(999))).toEqual(failure('OVERLOADED', { retryDelayMs: 1_000 }));
  for (const consistency of [eventual, within(1_000), atLeast(2)])
    expect(await resolve(consistency)).toMatchObject({ source: 'SNAPSHOT', revision: 2 });
  expect(asked).toEqual([]);
  callers.abort();
  await Promise.all(waiting);
  expect(await resolve(atLeast(999), context)).not.toEqual(failure('OVERLOADED'));
});
