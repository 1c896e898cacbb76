import { expect, test } from 'vitest';
import { sidecarLimits } from '../../../sidecar/limits.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import type { ChangeRange, HeldSnapshot } from '../../../sidecar/snapshot/tenant-memory.ts';
import type { ChangeSink } from '../../../sidecar/sync/change-source.ts';
import { ControlPlaneSource } from '../../../sidecar/sync/control-plane-source.ts';
import { TrafficManagerError } from '../../../src/client/traffic-manager-error.ts';
import type { Change } from '../../../src/domain/change.ts';
import { Change as WireChange } from '../../../src/gen/trafficmanager/v1/change.ts';
import type { GetPositionResponse, WatchResponse } from '../../../src/gen/trafficmanager/v1/watch_service.ts';
import { changeFromWire, changeToWire } from '../../../src/wire/change-wire.ts';
import { routeToWire } from '../../../src/wire/route-wire.ts';
import { encodeChange } from '../../../src/wire/watch-wire.ts';
import { policyToWire } from '../../../src/wire/traffic-policy-wire.ts';
import { createRoute, exampleKey, setDefaultVersion } from '../../fakes/example-configuration.ts';
import { wholeSnapshots } from '../../fakes/sidecar-whole-snapshots.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { rangeOf, SidecarHistory } from '../../fakes/sidecar-history.ts';
import { SidecarScriptedSource } from '../../fakes/sidecar-scripted-source.ts';
import { ScriptedWatch, type ScriptedQuestion } from '../../fakes/sidecar-scripted-watch.ts';
import { changeSourceContract } from './change-source.contract.ts';

type Event = NonNullable<WatchResponse['event']>;

function message({ revision, commitId }: SidecarHistory['position'], event: Event, stalenessMs = 0): WatchResponse {
  return { revision: BigInt(revision), commitId, event, stalenessMs: BigInt(stalenessMs) };
}

function chunk({ position, routes, policies }: HeldSnapshot, last = true, stalenessMs = 0): WatchResponse {
  const value = { routes: routes.map(routeToWire), trafficPolicies: policies.map(policyToWire), last };
  return message(position, { $case: 'snapshotChunk', value }, stalenessMs);
}

function batch(position: SidecarHistory['position'], changes: readonly Change[], continued = false): WatchResponse {
  return message(position, { $case: 'changeBatch', value: { changes: changes.map(changeToWire), continued } });
}

function wholeBatch({ changes, position, coalescedAfter }: ChangeRange, stalenessMs: number): WatchResponse {
  const after = coalescedAfter === undefined ? {} : { coalescedAfter: BigInt(coalescedAfter) };
  const value = { changes: changes.map(changeToWire), continued: false, ...after };
  return message(position, { $case: 'changeBatch', value }, stalenessMs);
}

function answer({ revision, commitId }: SidecarHistory['position'], stalenessMs = 0): GetPositionResponse {
  return { revision: BigInt(revision), commitId, stalenessMs: BigInt(stalenessMs) };
}

/** What was told, as objects. */
function decoded(range: ChangeRange): ChangeRange {
  return {
    ...range,
    changes: range.changes.map((change) => changeFromWire(WireChange.decode(encodeChange(change)))),
  };
}

/** Lets everything go on that waits for nothing but its turn. */
function everybodysTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const progress: Event = { $case: 'progress', value: {} };

function start() {
  const scripted = new ScriptedWatch();
  const clock = new FakeClock();
  const source = new ControlPlaneSource(scripted, { clock, random: () => 0.5, schedule: (run) => run() });
  const snapshots: HeldSnapshot[] = [];
  const changes: ChangeRange[] = [];
  let confirmations = 0;
  const sink: ChangeSink = {
    held: new SnapshotMemory({ bytesMax: 1 }).tenant('acme'),
    cutOff: () => {},
    ...wholeSnapshots((snapshot) => snapshots.push(snapshot)),
    changes: (each) => void changes.push(each),
    confirmed: () => void (confirmations += 1),
  };
  return { scripted, clock, source, sink, snapshots, changes, confirmations: () => confirmations };
}

changeSourceContract('the Watch of a control plane', () => {
  const scripted = new ScriptedWatch();
  return {
    source: new ControlPlaneSource(scripted, { clock: new FakeClock(), random: () => 0.5, schedule: (run) => run() }),
    proves: { changes: false, ranges: false },
    play: async (count) => {
      const stream = await scripted.stream(count);
      const fail = (code: 'UNAVAILABLE' | 'OUT_OF_RANGE' | 'NOT_FOUND', reason: string): void =>
        stream.end(new TrafficManagerError({ code, message: reason, reason }));
      return {
        snapshot: async (history, stalenessMs) => await stream.send(chunk(history.snapshot(), true, stalenessMs)),
        changes: async (range, stalenessMs) => await stream.send(wholeBatch(range, stalenessMs)),
        confirmed: async ({ position }, stalenessMs) => {
          await stream.send(message(position, progress, stalenessMs));
          scripted.questions[0]?.answer(answer(position, stalenessMs));
          await everybodysTurn();
        },
        breakOff: () => fail('UNAVAILABLE', 'SHUTTING_DOWN'),
        refuseResume: () => fail('OUT_OF_RANGE', 'REVISION_COMPACTED'),
        sayNotFound: () => fail('NOT_FOUND', 'TENANT_NOT_FOUND'),
      };
    },
  };
});

changeSourceContract('the scripted fake', () => {
  const source = new SidecarScriptedSource();
  return {
    source,
    proves: { changes: true, ranges: true },
    play: async (count) => {
      const following = await source.following(count);
      return {
        snapshot: async (history, stalenessMs) =>
          following.tell((sink) => sink.snapshot(history.snapshot(), stalenessMs)),
        changes: async (range, stalenessMs) => following.tell((sink) => sink.changes(range, stalenessMs)),
        confirmed: async ({ position }, stalenessMs) => following.tell((sink) => sink.confirmed(position, stalenessMs)),
        breakOff: () => following.end('disconnected'),
        refuseResume: () => following.end('resume_refused'),
        sayNotFound: () => following.end('tenant_not_found'),
      };
    },
  };
});

test('changes that come all at once are applied a slice a turn, so that lookups get in between', async () => {
  const scripted = new ScriptedWatch();
  const clock = new FakeClock();
  const turns: (() => void)[] = [];
  const source = new ControlPlaneSource(scripted, { clock, random: () => 0.5, schedule: (run) => turns.push(run) });
  const applied: number[] = [];
  const sink: ChangeSink = {
    held: new SnapshotMemory({ bytesMax: 1 }).tenant('acme'),
    cutOff: () => {},
    ...wholeSnapshots(() => {}),
    changes: ({ position }) => {
      applied.push(position.revision);
      clock.advance(sidecarLimits.slices.sliceMsMin / 2);
    },
    confirmed: () => {},
  };
  void source.follow('acme', { revision: 1, commitId: 'a-acme-1' }, sink, new AbortController().signal);
  const stream = await scripted.stream(1);
  const history = new SidecarHistory('acme');
  for (let version = 1; version <= 5; version++) {
    const changes = history.commit(createRoute(exampleKey(`v${version}`)));
    void stream.send(batch(history.position, changes));
  }
  const turn = async (): Promise<number[]> => {
    await everybodysTurn();
    for (const run of turns.splice(0)) run();
    await everybodysTurn();
    return applied.splice(0);
  };
  expect([await turn(), await turn(), await turn(), await turn()]).toEqual([[2, 3], [4, 5], [6], []]);
});

test('it asks for a snapshot, or for what came after a position, and for progress often enough', async () => {
  const { scripted, source, sink } = start();
  const progressInterval = { seconds: 0n, nanos: 1_000_000_000 };
  void source.follow('acme', undefined, sink, new AbortController().signal);
  expect((await scripted.stream(1)).request).toEqual({
    tenant: 'acme',
    services: [],
    afterRevision: undefined,
    afterCommitId: '',
    progressInterval,
  });
  void source.follow('acme', { revision: 7, commitId: 'c7' }, sink, new AbortController().signal);
  const second = await scripted.stream(2);
  expect(second.request).toEqual({
    tenant: 'acme',
    services: [],
    afterRevision: 7n,
    afterCommitId: 'c7',
    progressInterval,
  });
  expect(sidecarLimits.progressIntervalMs).toBe(1_000);
  expect(sidecarLimits.silenceMsMax).toBeGreaterThan(3 * sidecarLimits.progressIntervalMs);
});

test('a snapshot counts once its last chunk is there, and the next one begins anew', async () => {
  const { scripted, source, sink, snapshots } = start();
  const history = new SidecarHistory('acme');
  history.commit(createRoute(exampleKey('v1')), createRoute(exampleKey('v2')), setDefaultVersion(exampleKey(), 'v1'));
  const { position, routes, policies } = history.snapshot();
  void source.follow('acme', undefined, sink, new AbortController().signal);
  const stream = await scripted.stream(1);
  await stream.send(chunk({ position, routes: [], policies }, false));
  await stream.send(chunk({ position, routes: routes.slice(0, 1), policies: [] }, false));
  expect(snapshots).toEqual([]);
  await stream.send(chunk({ position, routes: routes.slice(1), policies: [] }));
  expect(snapshots).toEqual([{ position, routes, policies }]);
  await stream.send(chunk({ position, routes: [], policies: [] }));
  expect(snapshots[1]).toEqual({ position, routes: [], policies: [] });
});

test('a transaction in several messages is told as one', async () => {
  const { scripted, source, sink, changes } = start();
  const history = new SidecarHistory('acme');
  const before = history.position;
  const committed = history.commit(...['v1', 'v2', 'v3'].map((version) => createRoute(exampleKey(version))));
  void source.follow('acme', before, sink, new AbortController().signal);
  const stream = await scripted.stream(1);
  await stream.send(batch(before, committed.slice(0, 1), true));
  await stream.send(batch(before, committed.slice(1, 2), true));
  expect(changes).toEqual([]);
  await stream.send(batch(history.position, committed.slice(2)));
  expect(changes.map(decoded)).toEqual([rangeOf(committed)]);
  const next = history.commit(createRoute(exampleKey('v4')));
  await stream.send(batch(history.position, next));
  expect(changes.map(decoded)[1]).toEqual(rangeOf(next));
});

test('a source that ends without a reason is cut off, like one that fails', async () => {
  const { scripted, source, sink } = start();
  const following = source.follow('acme', undefined, sink, new AbortController().signal);
  (await scripted.stream(1)).end();
  expect(await following).toMatchObject({ kind: 'disconnected', error: new Error('the source ended the stream') });
});

test('an event that it does not know ends it: what it means must not be skipped', async () => {
  const { scripted, source, sink } = start();
  const following = source.follow('acme', undefined, sink, new AbortController().signal);
  const stream = await scripted.stream(1);
  await stream.send({ revision: 1n, commitId: 'c', event: undefined, stalenessMs: 0n });
  expect(await following).toMatchObject({ kind: 'disconnected' });
});

test('a source that is silent for too long is taken for dead, and one that speaks in time is not', async () => {
  const { scripted, source, sink, clock, confirmations } = start();
  const history = new SidecarHistory('acme');
  let ended = false;
  const following = source.follow('acme', undefined, sink, new AbortController().signal).finally(() => {
    ended = true;
  });
  const stream = await scripted.stream(1);
  for (let count = 0; count < 5; count++) {
    clock.advance(sidecarLimits.silenceMsMax - 1);
    await stream.send(message(history.position, progress));
  }
  expect(confirmations()).toBe(5);
  clock.advance(sidecarLimits.silenceMsMax - 1);
  await new Promise((resolve) => setImmediate(resolve));
  expect(ended).toBe(false);
  clock.advance(1);
  expect(await following).toEqual({
    kind: 'disconnected',
    error: new Error('the source was silent for more than 3500 ms'),
  });
});

test('a source that never says a word is given up too', async () => {
  const { source, sink, clock, scripted } = start();
  const following = source.follow('acme', undefined, sink, new AbortController().signal);
  await scripted.stream(1);
  clock.advance(sidecarLimits.silenceMsMax);
  expect(await following).toMatchObject({ kind: 'disconnected' });
});

test('nobody listens for silence once it has ended', async () => {
  const { source, sink, clock, scripted } = start();
  const following = source.follow('acme', undefined, sink, new AbortController().signal);
  (await scripted.stream(1)).end();
  await following;
  let somebodySleeps = false;
  void clock.untilSomebodySleeps().then(() => {
    somebodySleeps = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(somebodySleeps).toBe(false);
});

/** A sink that notes what it is told of freshness, and a stream whose first message has arrived. */
async function followed() {
  const { scripted, source, sink, clock } = start();
  const memory = new SnapshotMemory({ bytesMax: 1_000_000 }).tenant('acme');
  const history = new SidecarHistory('acme');
  const proofs: (number | undefined)[] = [];
  const cutOffs: string[] = [];
  const noting: ChangeSink = {
    ...sink,
    held: memory,
    ...wholeSnapshots((snapshot, stalenessMs) => {
      memory.replace(snapshot);
      proofs.push(stalenessMs);
    }),
    changes: (range, stalenessMs) => {
      memory.advance(range);
      proofs.push(stalenessMs);
    },
    confirmed: (_, stalenessMs) => void proofs.push(stalenessMs),
    cutOff: (reason) => void cutOffs.push(reason),
  };
  const following = source.follow('acme', undefined, noting, new AbortController().signal);
  const stream = await scripted.stream(1);
  clock.advance(300);
  await stream.send(chunk(history.snapshot(), true, 20));
  const [question] = scripted.questions as [ScriptedQuestion];
  return { scripted, clock, history, proofs, cutOffs, following, stream, question };
}

test('the first message is as old as the request for it, and asks at once where the source is', async () => {
  const { proofs, question, scripted } = await followed();
  expect(proofs).toEqual([320]);
  expect(question.tenant).toBe('acme');
  expect(scripted.questions).toHaveLength(1);
});

test('an answer counts from its question, and no later message of the stream proves anything', async () => {
  const { clock, history, proofs, stream, question } = await followed();
  clock.advance(400);
  await stream.send(message(history.position, progress, 0));
  question.answer(answer(history.position, 5));
  await everybodysTurn();
  expect(proofs.slice(1)).toEqual([undefined, 405]);
});

test('an answer that speaks of more than is held counts once that is held, still from its question', async () => {
  const { clock, history, proofs, stream, question } = await followed();
  const committed = [1, 2, 3].map((count) => history.commit(createRoute(exampleKey(`v${count}`))));
  question.answer(answer(rangeOf(committed[1] ?? []).position));
  await everybodysTurn();
  await stream.send(wholeBatch(rangeOf(committed[0] ?? []), 0));
  clock.advance(100);
  await stream.send(wholeBatch(rangeOf([...(committed[1] ?? []), ...(committed[2] ?? [])]), 0));
  // A proof of each transaction's own would be one of the whole message: it comes when that is held.
  expect(proofs.slice(1)).toEqual([undefined, undefined, undefined, 100]);
});

test('who is always behind the newest answer has what older ones prove', async () => {
  const { scripted, clock, history, proofs, stream } = await followed();
  const committed = Array.from({ length: 4 }, (_, count) => history.commit(createRoute(exampleKey(`v${count}`))));
  for (const [index, changes] of committed.entries()) {
    scripted.questions[0]?.answer(answer(rangeOf(changes).position));
    await everybodysTurn();
    clock.advance(sidecarLimits.askIntervalMs);
    await everybodysTurn();
    if (index > 0) await stream.send(wholeBatch(rangeOf(committed[index - 1] ?? []), 0));
  }
  expect(proofs.filter((proof) => proof !== undefined)).toEqual([320, 2_000, 2_000, 2_000]);
});

test('an answer of another history, or of less than was told before, proves nothing', async () => {
  const { scripted, clock, history, proofs, question } = await followed();
  question.answer(answer({ ...history.position, commitId: 'restored' }));
  await everybodysTurn();
  clock.advance(sidecarLimits.askIntervalMs);
  await everybodysTurn();
  scripted.questions[0]?.answer(answer({ ...history.position, revision: history.position.revision - 1 }));
  await everybodysTurn();
  expect(proofs).toEqual([320]);
});

test('it asks about every second, also after a question that was not answered', async () => {
  const { scripted, clock, question, history } = await followed();
  question.fail(new TrafficManagerError({ code: 'DEADLINE_EXCEEDED', message: 'too late' }));
  await everybodysTurn();
  expect(scripted.questions).toHaveLength(0);
  clock.advance(sidecarLimits.askIntervalMs - 1);
  await everybodysTurn();
  expect(scripted.questions).toHaveLength(0);
  clock.advance(1);
  await everybodysTurn();
  expect(scripted.questions).toHaveLength(1);
  scripted.questions[0]?.answer(answer(history.position));
  await everybodysTurn();
  expect(scripted.questions).toHaveLength(0);
});

test('a source that tells and does not answer is said to be cut off', async () => {
  const { scripted, clock, history, cutOffs, stream } = await followed();
  for (let count = 0; count < 5; count++) {
    expect(cutOffs).toEqual([]);
    scripted.questions[0]?.fail(new TrafficManagerError({ code: 'UNAVAILABLE', message: 'not now' }));
    await everybodysTurn();
    clock.advance(sidecarLimits.askIntervalMs);
    await stream.send(message(history.position, progress));
  }
  expect(cutOffs).toEqual(['the source does not say how fresh it is: not now']);
});

test('a source that does not know the question is given up, and says so', async () => {
  const { question, following } = await followed();
  question.fail(new TrafficManagerError({ code: 'UNIMPLEMENTED', message: 'unknown method' }));
  expect(await following).toMatchObject({
    kind: 'disconnected',
    error: new Error('the source does not know GetPosition, so that nobody can tell how fresh it is'),
  });
});

test('it asks nothing any more once it has ended', async () => {
  const { scripted, clock, following, stream } = await followed();
  stream.end();
  await following;
  clock.advance(10 * sidecarLimits.askIntervalMs);
  await everybodysTurn();
  expect(scripted.questions).toEqual([]);
});
