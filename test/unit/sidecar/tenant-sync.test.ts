import { expect, test } from 'vitest';
import { sidecarLimits } from '../../../sidecar/limits.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import type { HeldSnapshot } from '../../../sidecar/snapshot/tenant-memory.ts';
import type { ChangeSink } from '../../../sidecar/sync/change-source.ts';
import { TenantSync } from '../../../sidecar/sync/tenant-sync.ts';
import type { Change } from '../../../src/domain/change.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { createRoute, exampleKey, moveRoute } from '../../fakes/example-configuration.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { rangeOf, SidecarHistory } from '../../fakes/sidecar-history.ts';
import { SidecarScriptedSource } from '../../fakes/sidecar-scripted-source.ts';

const key = exampleKey();
const { baseMs, maxMs } = sidecarLimits.reconnectBackoff;

/** A sync whose source the test plays; `random` draws the largest delay of the backoff. */
function start() {
  const history = new SidecarHistory('acme');
  history.commit(createRoute(key));
  const clock = new FakeClock();
  const source = new SidecarScriptedSource();
  const memory = new SnapshotMemory({ bytesMax: 1_000_000 }).tenant('acme');
  const logger = createLogger('sidecar', 'silent');
  const sync = new TenantSync({ tenant: 'acme', memory, source, clock, random: () => 1, logger });
  return { history, clock, source, sync, [Symbol.asyncDispose]: async () => await sync[Symbol.asyncDispose]() };
}

/** One that is live at `history.position`. */
async function startLive() {
  const started = start();
  const following = await started.source.following(1);
  following.tell((sink) => sink.snapshot(started.history.snapshot(), 0));
  return { ...started, following };
}

/** Lets everything go on that waits for nothing but its turn: what has not happened then will not. */
function everybodysTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function heldUrl(sync: TenantSync): string | undefined {
  return sync.memory.find(key.service, key.environment)?.routes.get(key.version)?.endpoints[0]?.url;
}

test('it boots without a resume point, and is live with the first snapshot', async () => {
  await using run = start();
  const { sync, source, history } = run;
  const following = await source.following(1);
  expect(following).toMatchObject({ tenant: 'acme', after: undefined });
  expect(sync.state).toEqual({ kind: 'booting' });
  following.tell((sink) => sink.snapshot(history.snapshot(), 0));
  expect(sync.state).toEqual({ kind: 'live' });
  expect(heldUrl(sync)).toBe('grpc://cart.acme.internal:8443');
});

test('it resumes after what it holds, and goes on answering from it meanwhile', async () => {
  await using run = await startLive();
  const { sync, source, clock, history, following } = run;
  following.tell((sink) => sink.changes(rangeOf(history.commit(moveRoute(key, 'grpc://third:1'))), 0));
  following.end('disconnected');
  await clock.untilSomebodySleeps();
  expect(sync.state).toEqual({ kind: 'stale', reason: 'scripted: disconnected' });
  expect(heldUrl(sync)).toBe('grpc://third:1');
  clock.advance(baseMs);
  const again = await source.following(2);
  expect(again.after).toMatchObject(history.position);
  // Connected is not yet certain.
  expect(sync.state.kind).toBe('stale');
  again.tell((sink) => sink.confirmed(history.position, 0));
  expect(sync.state).toEqual({ kind: 'live' });
});

test('a refused resume point makes it start over at once, and it keeps what it holds until the snapshot', async () => {
  await using run = await startLive();
  const { sync, source, history, clock, following } = run;
  following.end('disconnected');
  await clock.untilSomebodySleeps();
  clock.advance(baseMs);
  const resumed = await source.following(2);
  expect(resumed.after).toBeDefined();
  resumed.end('resume_refused');
  const over = await source.following(3);
  expect(over.after).toBeUndefined();
  expect(sync.state.kind).toBe('stale');
  expect(heldUrl(sync)).toBe('grpc://cart.acme.internal:8443');
  history.commit(moveRoute(key, 'grpc://other:1'));
  over.tell((sink) => sink.snapshot(history.snapshot(), 0));
  expect(sync.state.kind).toBe('live');
  expect(heldUrl(sync)).toBe('grpc://other:1');
});

test('a source that refuses even to start over is not asked again and again', async () => {
  await using run = start();
  const { source, clock } = run;
  (await source.following(1)).end('resume_refused');
  await clock.untilSomebodySleeps();
  await everybodysTurn();
  expect(source.followings).toHaveLength(1);
  clock.advance(baseMs);
  (await source.following(2)).end('resume_refused');
  await clock.untilSomebodySleeps();
  clock.advance(2 * baseMs - 1);
  await everybodysTurn();
  expect(source.followings).toHaveLength(2);
  clock.advance(1);
  expect(await source.following(3)).toMatchObject({ after: undefined });
});

/** Ways to tell of something without telling all that came before it. */
const gaps = {
  'before the first change': (history: SidecarHistory) => {
    history.commit(moveRoute(key, 'grpc://skipped:1'));
    return rangeOf(history.commit(moveRoute(key, 'grpc://told:1')));
  },
  'between two changes': (history: SidecarHistory) => {
    const first = history.commit(moveRoute(key, 'grpc://first:1'));
    history.commit(moveRoute(key, 'grpc://skipped:1'));
    return rangeOf([...first, ...history.commit(moveRoute(key, 'grpc://told:1'))]);
  },
  'behind the last change': (history: SidecarHistory) => {
    const range = rangeOf(history.commit(moveRoute(key, 'grpc://first:1')));
    return { ...range, position: rangeOf(history.commit(moveRoute(key, 'grpc://told:1'))).position };
  },
  'instead of any change': (history: SidecarHistory) => {
    return { ...rangeOf(history.commit(moveRoute(key, 'grpc://told:1'))), changes: [] };
  },
  'said to be before the last change': (history: SidecarHistory) => {
    return { ...rangeOf(history.commit(moveRoute(key, 'grpc://told:1'))), position: { revision: 1, commitId: '' } };
  },
};

test.each(Object.entries(gaps))('a gap %s makes it start over, and takes nothing', async (_, rangeWithGap) => {
  await using run = await startLive();
  const { sync, source, history, clock, following } = run;
  const before = sync.memory.position;
  following.tell((sink) => sink.changes(rangeWithGap(history), 0));
  expect(following.isFollowed()).toBe(false);
  await clock.untilSomebodySleeps();
  expect(sync.state.kind).toBe('stale');
  expect(sync.memory.position).toEqual(before);
  expect(heldUrl(sync)).toBe('grpc://cart.acme.internal:8443');
  clock.advance(baseMs);
  const over = await source.following(2);
  expect(over.after).toBeUndefined();
  over.tell((sink) => sink.snapshot(history.snapshot(), 0));
  expect(sync.state.kind).toBe('live');
  expect(heldUrl(sync)).toBe('grpc://told:1');
});

test('a confirmation of more than was told is a gap too', async () => {
  await using run = await startLive();
  const { sync, source, history, clock, following } = run;
  history.commit(moveRoute(key, 'grpc://never-told:1'));
  following.tell((sink) => sink.confirmed(history.position, 0));
  await clock.untilSomebodySleeps();
  expect(sync.state.kind).toBe('stale');
  clock.advance(baseMs);
  expect((await source.following(2)).after).toBeUndefined();
});

test('a confirmation by another history makes it start over', async () => {
  await using run = await startLive();
  const { source, clock, following, history } = run;
  following.tell((sink) => sink.confirmed({ ...history.position, commitId: 'restored' }, 0));
  await clock.untilSomebodySleeps();
  clock.advance(baseMs);
  expect((await source.following(2)).after).toBeUndefined();
});

test('it starts over only until it has', async () => {
  await using run = await startLive();
  const { source, clock, following, history } = run;
  following.tell((sink) => sink.confirmed({ ...history.position, commitId: 'restored' }, 0));
  await clock.untilSomebodySleeps();
  clock.advance(baseMs);
  const over = await source.following(2);
  over.tell((sink) => sink.snapshot(history.snapshot(), 0));
  over.end('disconnected');
  await clock.untilSomebodySleeps();
  clock.advance(baseMs);
  expect((await source.following(3)).after).toMatchObject(history.position);
});

const ofAnotherTenant: Record<string, (sink: ChangeSink, history: SidecarHistory) => void> = {
  'in a part of a snapshot': (sink, history) => sink.part(strangers(history)),
  'in a snapshot': (sink, history) => sink.snapshot(strangers(history), 0),
  'in a change': (sink, history) => {
    const { routes } = strangers(history);
    const { changes, ...range } = rangeOf(history.commit(moveRoute(key, 'grpc://evil:1')));
    const told = changes.flatMap((change) =>
      routes.map((after): Change => ({ ...change, subject: { kind: 'route', before: undefined, after } })),
    );
    sink.changes({ ...range, changes: told }, 0);
  },
};

function strangers(history: SidecarHistory): HeldSnapshot {
  const snapshot = history.snapshot();
  return { ...snapshot, routes: snapshot.routes.map((route) => ({ ...route, key: { ...key, tenant: 'stranger' } })) };
}

test.each(Object.entries(ofAnotherTenant))(
  'a source that tells of another tenant %s is cut off',
  async (_, telling) => {
    await using run = await startLive();
    const { following, sync, history } = run;
    const { position } = sync.memory;
    following.tell((sink) => telling(sink, history));
    expect(following.isFollowed()).toBe(false);
    expect(sync.memory.position).toEqual(position);
    const group = sync.memory.find(key.service, key.environment);
    expect([...(group?.routes.values() ?? [])].map((route) => route.key.tenant)).toEqual(['acme']);
  },
);

test('a source that says it was certain in the future is certain now, and no longer than that', async () => {
  await using run = await startLive();
  const { following, sync, history, clock } = run;
  following.tell((sink) => sink.confirmed(history.position, -1_000_000));
  clock.advance(500);
  expect(sync.stalenessMs()).toBe(500);
});

test('what is told twice is taken once', async () => {
  await using run = await startLive();
  const { sync, history, following } = run;
  const third = history.commit(moveRoute(key, 'grpc://third:1'));
  const fourth = history.commit(moveRoute(key, 'grpc://fourth:1'));
  following.tell((sink) => sink.changes(rangeOf([...third, ...fourth]), 0));
  following.tell((sink) => sink.changes(rangeOf(third), 0));
  following.tell((sink) => sink.changes(rangeOf([...third, ...fourth]), 0));
  expect(following.isFollowed()).toBe(true);
  expect(heldUrl(sync)).toBe('grpc://fourth:1');
  expect(sync.memory.position.revision).toBe(4);
});

test('a tenant that was never there is absent; it is asked for again and can still come', async () => {
  await using run = start();
  const { sync, source, history, clock } = run;
  (await source.following(1)).end('tenant_not_found');
  await clock.untilSomebodySleeps();
  expect(sync.state).toEqual({ kind: 'absent', sinceMs: 0 });
  clock.advance(baseMs);
  (await source.following(2)).tell((sink) => sink.snapshot(history.snapshot(), 0));
  expect(sync.state).toEqual({ kind: 'live' });
});

test('a tenant that the source has lost keeps its data', async () => {
  await using run = await startLive();
  const { sync, source, clock, following, history } = run;
  following.end('tenant_not_found');
  await clock.untilSomebodySleeps();
  expect(sync.state).toEqual({ kind: 'stale', reason: 'the source has lost this tenant' });
  expect(sync.memory.tenant).toBeDefined();
  expect(heldUrl(sync)).toBe('grpc://cart.acme.internal:8443');
  clock.advance(baseMs);
  expect((await source.following(2)).after).toMatchObject(history.position);
});

test('staleness counts from when the source was certain, and grows until it is certain again', async () => {
  await using run = await startLive();
  const { sync, clock, following, history } = run;
  expect(sync.stalenessMs()).toBe(0);
  clock.advance(400);
  expect(sync.stalenessMs()).toBe(400);
  following.tell((sink) => sink.confirmed(history.position, 0));
  expect(sync.stalenessMs()).toBe(0);
  // A source that is behind itself says by how much.
  following.tell((sink) => sink.changes(rangeOf(history.commit(moveRoute(key, 'grpc://third:1'))), 250));
  clock.advance(50);
  expect(sync.stalenessMs()).toBe(300);
  following.end('disconnected');
  await clock.untilSomebodySleeps();
  clock.advance(60_000);
  expect(sync.stalenessMs()).toBe(60_300);
});

test('a confirmation of less than it holds says nothing about what it holds', async () => {
  await using run = await startLive();
  const { sync, clock, following, history } = run;
  const older = history.position;
  following.tell((sink) => sink.changes(rangeOf(history.commit(moveRoute(key, 'grpc://third:1'))), 0));
  clock.advance(700);
  following.tell((sink) => sink.confirmed(older, 0));
  expect(following.isFollowed()).toBe(true);
  expect(sync.stalenessMs()).toBe(700);
});

test('attempts that hear nothing are further and further apart, up to a bound; hearing anything begins anew', async () => {
  await using run = start();
  const { source, history, clock } = run;
  const delays = Array.from({ length: 8 }, (_, attempt) => Math.min(maxMs, baseMs * 2 ** attempt));
  for (const [index, delayMs] of [...delays, maxMs].entries()) {
    (await source.following(index + 1)).end('disconnected');
    await clock.untilSomebodySleeps();
    clock.advance(delayMs - 1);
    await everybodysTurn();
    expect(source.followings).toHaveLength(index + 1);
    clock.advance(1);
    await source.following(index + 2);
  }
  const heard = source.followings.length;
  const following = await source.following(heard);
  following.tell((sink) => sink.snapshot(history.snapshot(), 0));
  following.end('disconnected');
  await clock.untilSomebodySleeps();
  clock.advance(baseMs);
  expect(await source.following(heard + 1)).toMatchObject({ after: history.position });
});

test('its delays are spread by chance, so that a fleet does not return together', async () => {
  const clock = new FakeClock();
  const source = new SidecarScriptedSource();
  const memory = new SnapshotMemory({ bytesMax: 1_000 }).tenant('acme');
  const logger = createLogger('sidecar', 'silent');
  await using _sync = new TenantSync({ tenant: 'acme', memory, source, clock, random: () => 0.25, logger });
  (await source.following(1)).end('disconnected');
  await clock.untilSomebodySleeps();
  clock.advance(baseMs / 4 - 1);
  await everybodysTurn();
  expect(source.followings).toHaveLength(1);
  clock.advance(1);
  await everybodysTurn();
  expect(source.followings).toHaveLength(2);
});

test('listeners hear of every change of state and memory, until they are disposed', async () => {
  await using run = start();
  const { sync, source, history, clock } = run;
  const seen: string[] = [];
  const subscription = sync.subscribe(() => seen.push(`${sync.state.kind} ${sync.memory.position.revision}`));
  const following = await source.following(1);
  following.tell((sink) => sink.snapshot(history.snapshot(), 0));
  following.tell((sink) => sink.changes(rangeOf(history.commit(moveRoute(key, 'grpc://third:1'))), 0));
  following.end('disconnected');
  await clock.untilSomebodySleeps();
  subscription[Symbol.dispose]();
  clock.advance(baseMs);
  (await source.following(2)).tell((sink) => sink.confirmed(history.position, 0));
  expect(seen).toEqual(['live 2', 'live 3', 'stale 3']);
});

test.each(['while following', 'while waiting'] as const)('it stops %s', async (when) => {
  const { sync, source, clock } = start();
  const following = await source.following(1);
  if (when === 'while waiting') {
    following.end('disconnected');
    await clock.untilSomebodySleeps();
  }
  await sync[Symbol.asyncDispose]();
  expect(following.isFollowed()).toBe(false);
  clock.advance(60_000);
  await everybodysTurn();
  expect(source.followings).toHaveLength(1);
});

test('cut off from whoever knows how fresh it is, it goes on applying what it is told, and is live again with the next proof', async () => {
  await using run = await startLive();
  const { sync, clock, history, following } = run;
  clock.advance(100);
  following.tell((sink) => sink.cutOff('no relay answers'));
  expect(sync.state).toEqual({ kind: 'stale', reason: 'no relay answers' });
  following.tell((sink) => sink.changes(rangeOf(history.commit(moveRoute(key, 'grpc://unproven:1'))), undefined));
  expect(heldUrl(sync)).toBe('grpc://unproven:1');
  expect(sync.state).toEqual({ kind: 'stale', reason: 'no relay answers' });
  expect(sync.stalenessMs()).toBe(100);
  following.tell((sink) => sink.confirmed(history.position, 7));
  expect(sync.state).toEqual({ kind: 'live' });
  expect(sync.stalenessMs()).toBe(7);
  // What proves nothing takes nothing away either.
  following.tell((sink) => sink.changes(rangeOf(history.commit(moveRoute(key, 'grpc://again:1'))), undefined));
  expect(sync.state).toEqual({ kind: 'live' });
});

test('a snapshot that nobody vouches for is held, and stale', async () => {
  await using run = start();
  const { sync, source, history } = run;
  const following = await source.following(1);
  following.tell((sink) => sink.cutOff('no relay answers'));
  expect(sync.state).toEqual({ kind: 'booting' });
  following.tell((sink) => sink.snapshot(history.snapshot(), undefined));
  expect(sync.state).toEqual({ kind: 'stale', reason: 'no relay answers' });
  expect(heldUrl(sync)).toBeDefined();
  // Not as young as this process.
  expect(sync.stalenessMs()).toBe(sidecarLimits.unknownAgeMs);
});

test('its source sees what is held, and what its digest would be', async () => {
  await using run = await startLive();
  const { history, following } = run;
  following.tell(({ held }) => {
    expect(held.tenant?.tenant).toBe('acme');
    expect(held.position).toEqual(history.position);
    expect(held.digestAfter([])).toBe(history.state.digest.toString());
    const changes = history.commit(moveRoute(key, 'grpc://next:1'));
    expect(held.digestAfter(changes)).toBe(history.state.digest.toString());
  });
  expect(following.isFollowed()).toBe(true);
});
