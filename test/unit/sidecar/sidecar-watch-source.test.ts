import { expect, test } from 'vitest';
import type { Scope } from '../../../sidecar/config.ts';
import { sidecarLimits } from '../../../sidecar/limits.ts';
import { SidecarWatchSource } from '../../../sidecar/lookup/sidecar-watch-source.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import { Subscriptions } from '../../../sidecar/sync/subscriptions.ts';
import { TenantSync } from '../../../sidecar/sync/tenant-sync.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { createRoute, exampleKey, moveRoute } from '../../fakes/example-configuration.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { callContext } from '../../fakes/sidecar-call-context.ts';
import { rangeOf, SidecarHistory } from '../../fakes/sidecar-history.ts';
import { SidecarScriptedSource } from '../../fakes/sidecar-scripted-source.ts';

const { defaultWaitMs } = sidecarLimits;

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
  history.commit(createRoute(exampleKey()));
  const watches = new SidecarWatchSource(subscriptions, clock);
  return { clock, source, history, watches, [Symbol.asyncDispose]: () => subscriptions[Symbol.asyncDispose]() };
}

async function startLive(options: Parameters<typeof start>[0] = {}) {
  const run = start(options);
  const following = await run.source.following(1);
  following.tell((sink) => sink.snapshot(run.history.snapshot(), 0));
  return { ...run, following };
}

test('it opens what memory holds, and shows it as it moves', async () => {
  await using run = await startLive();
  const { watches, history, following, clock } = run;
  const opened = await watches.open('acme', 0, callContext());
  expect(opened.position).toMatchObject(history.position);
  // One object for a tenant, so that its watchers are served together.
  expect(await watches.open('acme', 2, callContext())).toBe(opened);
  let moved = 0;
  using _listening = opened.subscribe(() => (moved += 1));
  const { window } = opened;
  following.tell((sink) => sink.changes(rangeOf(history.commit(moveRoute(exampleKey(), 'grpc://third:1'))), 0));
  expect(moved).toBe(1);
  expect(opened.window).toBe(window);
  expect([...opened.window.unitsAfter(2)]).toMatchObject([
    { entries: [{ change: { revision: 3 } }], coalesced: false },
  ]);
  expect([...opened.state.all()][0]?.routes.get('v1')?.endpoints[0]?.url).toBe('grpc://third:1');
  clock.advance(400);
  expect(opened.stalenessMs()).toBe(400);
  // A snapshot in between is another history to a watcher.
  following.tell((sink) => sink.snapshot(history.snapshot(), 0));
  expect(opened.window).not.toBe(window);
  expect(await watches.older()).toEqual([]);
});

test('a watcher that is ahead is waited for', async () => {
  await using run = await startLive();
  const { watches, history, following } = run;
  const opening = watches.open('acme', 3, callContext());
  following.tell((sink) => sink.changes(rangeOf(history.commit(moveRoute(exampleKey(), 'grpc://third:1'))), 0));
  expect((await opening).position.revision).toBe(3);
});

test('a watcher that is ahead of a source that is heard is in a future that nobody has reached', async () => {
  await using run = await startLive();
  const { watches, history, following, clock } = run;
  clock.advance(1_000);
  const opening = watches.open('acme', 30, callContext());
  clock.advance(defaultWaitMs - 1_000);
  following.tell((sink) => sink.confirmed(history.position, 0));
  clock.advance(1_000);
  // The service then says REVISION_IN_FUTURE.
  expect((await opening).position.revision).toBe(2);
});

test('a watcher that is ahead of a source that is cut off is not sent back', async () => {
  await using run = await startLive();
  const { watches, following, clock } = run;
  following.end('disconnected');
  await clock.untilSomebodySleeps();
  const opening = watches.open('acme', 30, callContext());
  clock.advance(defaultWaitMs);
  await expect(opening).rejects.toMatchObject({
    reason: 'REVISION_NOT_REACHED',
    metadata: { revision: '30', held_revision: '2' },
  });
});

test('without a snapshot there is nothing to watch yet', async () => {
  await using run = start();
  const opening = run.watches.open('acme', 0, callContext());
  run.clock.advance(defaultWaitMs);
  await expect(opening).rejects.toMatchObject({ reason: 'SNAPSHOT_NOT_READY', retryDelayMs: 1_000 });
});

test('a first snapshot is waited for', async () => {
  await using run = start();
  const opening = run.watches.open('acme', 0, callContext());
  (await run.source.following(1)).tell((sink) => sink.snapshot(run.history.snapshot(), 0));
  expect((await opening).position).toMatchObject(run.history.position);
});

test('what does not fit in memory cannot be watched here: its snapshot would have holes', async () => {
  await using run = await startLive({ bytesMax: 500 });
  await expect(run.watches.open('acme', 0, callContext())).rejects.toMatchObject({ reason: 'SNAPSHOT_NOT_READY' });
});

test('a tenant that was deleted takes no new watchers; those that resume are told of it, and when it comes back', async () => {
  await using run = await startLive();
  const { watches, history, following } = run;
  following.tell((sink) =>
    sink.changes(rangeOf(history.commit({ kind: 'delete_tenant', tenant: 'acme', etag: '' })), 0),
  );
  await expect(watches.open('acme', 0, callContext())).rejects.toMatchObject({ reason: 'TENANT_NOT_FOUND' });
  const resumed = await watches.open('acme', 2, callContext());
  const told = [...resumed.window.unitsAfter(2)].flatMap(({ entries }) => entries);
  expect(told).toMatchObject([{ change: { action: 'DELETED', subject: { kind: 'tenant' } } }]);
  following.tell((sink) =>
    sink.changes(rangeOf(history.commit({ kind: 'undelete_tenant', tenant: 'acme', etag: '' })), 0),
  );
  expect((await watches.open('acme', 0, callContext())).position.revision).toBe(4);
});

test('a tenant that does not exist, and one that is not followed', async () => {
  await using run = start({ scope: { tenants: [], onDemand: true } });
  const opening = run.watches.open('nobody', 0, callContext());
  (await run.source.following(1)).end('tenant_not_found');
  await expect(opening).rejects.toMatchObject({ reason: 'TENANT_NOT_FOUND' });
  await expect(run.watches.open('nobody', 0, callContext())).rejects.toMatchObject({ reason: 'TENANT_NOT_FOUND' });
  await using closed = start({ scope: { tenants: [], onDemand: false } });
  await expect(closed.watches.open('acme', 0, callContext())).rejects.toMatchObject({ reason: 'SNAPSHOT_NOT_READY' });
});

test('where a tenant is, is known whatever watches are refused', async () => {
  const services = new Set(['cart', 'search']);
  await using run = await startLive({ scope: { tenants: ['acme'], onDemand: false, services }, bytesMax: 1 });
  const { watches, history, following } = run;
  await expect(watches.open('acme', 0, callContext())).rejects.toMatchObject({ reason: 'SNAPSHOT_NOT_READY' });
  expect((await watches.find('acme', callContext())).position).toMatchObject(history.position);
  following.tell((sink) =>
    sink.changes(rangeOf(history.commit({ kind: 'delete_tenant', tenant: 'acme', etag: '' })), 0),
  );
  expect((await watches.find('acme', callContext())).position).toMatchObject(history.position);
  await expect(watches.find('globex', callContext())).rejects.toMatchObject({ reason: 'SNAPSHOT_NOT_READY' });
});
