import { expect, test } from 'vitest';
import type { Scope } from '../../../sidecar/config.ts';
import { sidecarLimits } from '../../../sidecar/limits.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import { Subscriptions, type Subscription } from '../../../sidecar/sync/subscriptions.ts';
import { TenantSync } from '../../../sidecar/sync/tenant-sync.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { SidecarHistory } from '../../fakes/sidecar-history.ts';
import { SidecarScriptedSource, type Following } from '../../fakes/sidecar-scripted-source.ts';

function start(scope: Scope) {
  const clock = new FakeClock();
  // The time of a process that has just begun is never 0.
  clock.advance(1);
  const source = new SidecarScriptedSource();
  const memory = new SnapshotMemory({ bytesMax: 1_000_000 });
  const logger = createLogger('sidecar', 'silent');
  const released: string[] = [];
  const subscriptions = new Subscriptions({
    scope,
    clock,
    start: (tenant) =>
      new TenantSync({ tenant, memory: memory.tenant(tenant), source, clock, random: () => 1, logger }),
    release: (tenant) => {
      released.push(tenant);
      memory.release(tenant);
    },
  });
  /** The newest attempt to follow a tenant. */
  const follow = (tenant: string): Following => {
    const following = source.followings.findLast((each) => each.tenant === tenant);
    if (following === undefined) throw new Error(`${tenant} is not followed`);
    return following;
  };
  return {
    clock,
    source,
    subscriptions,
    released,
    follow,
    [Symbol.asyncDispose]: () => subscriptions[Symbol.asyncDispose](),
  };
}

function syncOf(subscription: Subscription): TenantSync {
  if (subscription.kind !== 'followed') throw new Error(`it is ${subscription.kind}`);
  return subscription.sync;
}

/** Lets everything go on that waits for nothing but its turn. */
function everybodysTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('the tenants of the scope are followed from the start, once each', async () => {
  await using run = start({ tenants: ['acme', 'globex'], onDemand: false });
  const { subscriptions, source } = run;
  expect(source.followings.map(({ tenant }) => tenant)).toEqual(['acme', 'globex']);
  expect([...subscriptions.all()]).toEqual([syncOf(subscriptions.find('acme')), syncOf(subscriptions.find('globex'))]);
  await everybodysTurn();
  expect(source.followings).toHaveLength(2);
});

test('others are out of scope, and nobody asks for them', async () => {
  await using run = start({ tenants: ['acme'], onDemand: false });
  expect(run.subscriptions.find('globex')).toEqual({ kind: 'out_of_scope' });
  await everybodysTurn();
  expect(run.source.followings.map(({ tenant }) => tenant)).toEqual(['acme']);
});

test('on demand others are followed from their first lookup on, once each', async () => {
  await using run = start({ tenants: [], onDemand: true });
  const { subscriptions, source } = run;
  expect(source.followings).toEqual([]);
  const sync = syncOf(subscriptions.find('globex'));
  expect(subscriptions.find('globex')).toEqual({ kind: 'followed', sync });
  expect(source.followings.map(({ tenant }) => tenant)).toEqual(['globex']);
});

test('more than so many are not followed on demand; those of the scope do not count', async () => {
  await using run = start({ tenants: ['acme'], onDemand: true });
  const { subscriptions } = run;
  for (let number = 0; number < sidecarLimits.onDemandTenantsMax; number++) {
    expect(subscriptions.find(`tenant-${number}`).kind).toBe('followed');
  }
  expect(subscriptions.find('one-more')).toEqual({ kind: 'out_of_scope' });
  expect(subscriptions.find('tenant-0').kind).toBe('followed');
  expect(subscriptions.find('acme').kind).toBe('followed');
});

test('a tenant that does not exist is let go of, and believed absent for its time', async () => {
  await using run = start({ tenants: [], onDemand: true });
  const { subscriptions, source, clock, released, follow } = run;
  subscriptions.find('nobody');
  follow('nobody').end('tenant_not_found');
  await everybodysTurn();
  expect(released).toEqual(['nobody']);
  expect([...subscriptions.all()]).toEqual([]);
  expect(subscriptions.find('nobody')).toEqual({ kind: 'absent' });
  clock.advance(sidecarLimits.unknownTenantTtlMs);
  expect(subscriptions.find('nobody')).toEqual({ kind: 'absent' });
  await everybodysTurn();
  // Nobody asked the control plane meanwhile.
  expect(source.followings).toHaveLength(1);
  clock.advance(1);
  expect(subscriptions.find('nobody').kind).toBe('followed');
  expect(source.followings).toHaveLength(2);
});

test('a tenant that comes into being after it was absent is followed', async () => {
  await using run = start({ tenants: [], onDemand: true });
  const { subscriptions, clock, released, follow } = run;
  subscriptions.find('late');
  follow('late').end('tenant_not_found');
  await everybodysTurn();
  clock.advance(sidecarLimits.unknownTenantTtlMs + 1);
  const sync = syncOf(subscriptions.find('late'));
  follow('late').tell((sink) => sink.snapshot(new SidecarHistory('late').snapshot(), 0));
  expect(sync.state.kind).toBe('live');
  expect(sync.memory.tenant).toBeDefined();
  expect(released).toEqual(['late']);
});

test('absent tenants give their places back', async () => {
  await using run = start({ tenants: [], onDemand: true });
  const { subscriptions, source } = run;
  for (let number = 0; number < sidecarLimits.onDemandTenantsMax; number++) subscriptions.find(`stranger-${number}`);
  expect(subscriptions.find('acme').kind).toBe('out_of_scope');
  source.followings[0]?.end('tenant_not_found');
  await everybodysTurn();
  expect(subscriptions.find('acme').kind).toBe('followed');
  expect(subscriptions.find('globex').kind).toBe('out_of_scope');
});

test('a tenant that was there once is kept, whatever the source says of it later', async () => {
  await using run = start({ tenants: [], onDemand: true });
  const { subscriptions, released, follow, clock } = run;
  const sync = syncOf(subscriptions.find('acme'));
  const following = follow('acme');
  following.tell((sink) => sink.snapshot(new SidecarHistory('acme').snapshot(), 0));
  following.end('tenant_not_found');
  await clock.untilSomebodySleeps();
  expect(subscriptions.find('acme')).toEqual({ kind: 'followed', sync });
  expect(sync.state.kind).toBe('stale');
  expect(released).toEqual([]);
});

test('a tenant of the scope that does not exist stays followed: it may come', async () => {
  await using run = start({ tenants: ['acme'], onDemand: false });
  const { subscriptions, released, follow, clock } = run;
  follow('acme').end('tenant_not_found');
  await clock.untilSomebodySleeps();
  expect(syncOf(subscriptions.find('acme')).state.kind).toBe('absent');
  expect(released).toEqual([]);
});

test('disposing ends them all', async () => {
  const { subscriptions, source } = start({ tenants: ['acme'], onDemand: true });
  subscriptions.find('globex');
  await subscriptions[Symbol.asyncDispose]();
  expect(source.followings.map((following) => following.isFollowed())).toEqual([false, false]);
});
