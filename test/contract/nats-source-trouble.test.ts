import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { natsSourceLimits } from '../../sidecar/limits.ts';
import { SnapshotMemory } from '../../sidecar/snapshot/snapshot-memory.ts';
import { NatsSource, type NatsSourceOptions } from '../../sidecar/sync/nats-source.ts';
import { TenantSync } from '../../sidecar/sync/tenant-sync.ts';
import { systemClock as clock, type Clock } from '../../src/platform/clock.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { connectNats } from '../../src/platform/nats/connect-nats.ts';
import { afterSockets } from '../../src/platform/turns.ts';
import { streamName } from '../../src/wire/stream-subjects.ts';
import { createRoute, exampleKey, moveRoute } from '../fakes/example-configuration.ts';
import { SidecarHistory } from '../fakes/sidecar-history.ts';
import { provideNatsServer, type TestNats } from '../support/nats.ts';
import { standingChanges, StreamPublisher } from '../support/stream-publisher.ts';

const key = exampleKey();
const logger = createLogger('sidecar', 'silent');
/** Half of each pause: nobody waits long here. */
const random = (): number => 0;

let nats: TestNats;
let publisher: StreamPublisher;
let history: SidecarHistory;
let current: AsyncDisposableStack;

beforeAll(async () => {
  nats = await (await provideNatsServer()).start();
});
afterAll(async () => await nats[Symbol.asyncDispose]());

beforeEach(async () => {
  current = new AsyncDisposableStack();
  publisher = current.use(await StreamPublisher.connect(nats.url));
  history = new SidecarHistory('acme');
  for (const version of ['v1', 'v2', 'v3']) history.commit(createRoute(exampleKey(version)));
});
afterEach(async () => {
  await publisher.remove('acme').catch(() => {});
  await current.disposeAsync();
});

/** A follower with a memory of its own, under the name of one sidecar. */
function follow(more: Partial<NatsSourceOptions> = {}): TenantSync {
  const { link = current.use(connectNats({ url: nats.url, name: 'trouble', logger })) } = more;
  const common = { consumerName: 'sidecar_trouble', clock, random, schedule: afterSockets, logger };
  const source = new NatsSource({ ...common, ...more, link });
  const memory = new SnapshotMemory({ bytesMax: 10_000_000 }).tenant('acme');
  return current.use(new TenantSync({ tenant: 'acme', memory, source, clock, random, logger }));
}

/** Resolves when it is so. */
async function until(sync: TenantSync, holds: () => boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _subscription = sync.subscribe(() => {
    if (holds()) resolve();
  });
  if (!holds()) await promise;
}

const untilHolds = async (sync: TenantSync, revision: number): Promise<void> =>
  await until(sync, () => sync.memory.tenant !== undefined && sync.memory.position.revision === revision);
const untilLive = async (sync: TenantSync): Promise<void> => await until(sync, () => sync.state.kind === 'live');

function answer(stalenessMs = 0): void {
  publisher.answer('acme', { kind: 'position', history, stalenessMs });
}

/** One that is live on a filled stream. */
async function followLive(): Promise<TenantSync> {
  await publisher.publishAll(history);
  answer();
  const sync = follow();
  await untilLive(sync);
  return sync;
}

function heldUrl(sync: TenantSync, version = 'v1'): string | undefined {
  return sync.memory.find(key.service, key.environment)?.routes.get(version)?.endpoints[0]?.url;
}

describe('what was lost on the way', () => {
  test('a gap is read from the stream, and told as what is newest of each route', async () => {
    const sync = await followLive();
    for (const url of ['grpc://a:1', 'grpc://b:1']) await publisher.put(history.commit(moveRoute(key, url)));
    await publisher.close(history);
    const last = history.commit(moveRoute(exampleKey('v2'), 'grpc://last:1'));
    await publisher.put(last);
    await publisher.close(history);
    answer();
    publisher.tell(history, last);
    await untilHolds(sync, history.position.revision);
    expect([heldUrl(sync), heldUrl(sync, 'v2')]).toEqual(['grpc://b:1', 'grpc://last:1']);
    expect([...sync.memory.window.unitsAfter(4)]).toMatchObject([{ coalesced: true, after: 4, end: { revision: 7 } }]);
  });

  test('a gap whose changes only live messages have yet waits for the stream', async () => {
    const sync = await followLive();
    const lost = history.commit(moveRoute(key, 'grpc://lost:1'));
    const told = history.commit(moveRoute(exampleKey('v2'), 'grpc://told:1'));
    answer();
    publisher.tell(history, told);
    await publisher.asked('acme', 3);
    expect(sync.memory.position.revision).toBe(4);
    await publisher.put([...lost, ...told]);
    await publisher.close(history);
    await untilHolds(sync, 6);
    expect(heldUrl(sync)).toBe('grpc://lost:1');
  });

  test('a large transaction in parts is applied in one step', async () => {
    const sync = await followLive();
    const seen = new Set<number>();
    sync.subscribe(() => seen.add(sync.memory.position.revision));
    const changes = history.commit(...['v4', 'v5', 'v6'].map((version) => createRoute(exampleKey(version))));
    publisher.tell(history, changes, 1);
    await untilHolds(sync, 7);
    expect([...seen]).toEqual([7]);
  });

  test('what is repeated, or comes late, changes nothing', async () => {
    const sync = await followLive();
    const first = publisher.encode(history, history.commit(moveRoute(key, 'grpc://first:1')));
    const second = publisher.encode(history, history.commit(moveRoute(key, 'grpc://second:1')));
    for (const part of [...first, ...second, ...first, ...second, ...first]) publisher.tellPart('acme', part);
    await untilHolds(sync, 6);
    await publisher.asked('acme', 2);
    expect(heldUrl(sync)).toBe('grpc://second:1');
  });
});

describe('what waits for its turn', () => {
  test('is not taken for lost by an answer of the relay that came after it', async () => {
    await publisher.publishAll(history);
    answer();
    const pausesMs: number[] = [];
    const noting: Clock = {
      ...clock,
      sleep: async (durationMs, signal) => {
        pausesMs.push(durationMs);
        await clock.sleep(durationMs, signal);
      },
    };
    const turns: (() => void)[] = [];
    let isHeldUp = false;
    const link = current.use(connectNats({ url: nats.url, name: 'trouble', logger }));
    const schedule = (run: () => void): void => (isHeldUp ? void turns.push(run) : afterSockets(run));
    const sync = follow({ link, clock: noting, schedule });
    await untilLive(sync);
    isHeldUp = true;
    publisher.tell(history, history.commit(moveRoute(key, 'grpc://told:1')));
    await publisher.asked('acme', 1);
    // The answer has come when what was sent after it has.
    await publisher.connection.flush();
    await (await link.opened).flush();
    isHeldUp = false;
    for (const run of turns) run();
    await untilHolds(sync, 5);
    await publisher.asked('acme', 1);
    expect(pausesMs).not.toContain(natsSourceLimits.graceMs);
  });
});

describe('what must not be believed', () => {
  test('a stream that suddenly has less, whatever it says itself', async () => {
    const sync = await followLive();
    publisher.answer('acme', { kind: 'silent' });
    await publisher.remove('acme');
    await publisher.create('acme');
    await publisher.put(standingChanges(history).slice(1));
    publisher.epoch = 'epoch-2';
    await publisher.close(history);
    publisher.tell(history);
    await publisher.asked('acme', 3);
    expect(heldUrl(sync)).toBeDefined();
    // The relay fills it and says so.
    await publisher.put(standingChanges(history));
    await publisher.put(history.commit(moveRoute(key, 'grpc://filled:1')));
    await publisher.close(history);
    answer();
    await untilHolds(sync, 5);
    expect(heldUrl(sync)).toBe('grpc://filled:1');
  });

  test('an older copy of the stream, until the relay agrees to go there', async () => {
    const older = new SidecarHistory('acme');
    older.commit(createRoute(key));
    const sync = await followLive();
    publisher.answer('acme', { kind: 'silent' });
    await publisher.remove('acme');
    publisher.epoch = 'epoch-0';
    await publisher.publishAll(older);
    publisher.tell(older);
    await publisher.asked('acme', 3);
    expect(sync.memory.position).toEqual(history.position);
    publisher.answer('acme', { kind: 'position', history: older, stalenessMs: 0 });
    await untilHolds(sync, 2);
    expect(heldUrl(sync, 'v2')).toBeUndefined();
  });

  test('a leader of an earlier term', async () => {
    const sync = await followLive();
    publisher.term = 5;
    const now = history.commit(moveRoute(key, 'grpc://now:1'));
    publisher.tell(history, now);
    await untilHolds(sync, 5);
    publisher.term = 4;
    const other = new SidecarHistory('acme', 'other');
    for (const version of ['v1', 'v2', 'v3', 'v4']) other.commit(createRoute(exampleKey(version)));
    publisher.tell(other, other.commit(createRoute(exampleKey('v5'))));
    publisher.term = 5;
    const next = history.commit(moveRoute(key, 'grpc://next:1'));
    publisher.tell(history, next);
    await untilHolds(sync, 6);
    expect(heldUrl(sync)).toBe('grpc://next:1');
  });
});

describe('a sidecar that holds nothing', () => {
  test('begins in the middle of a batch when nobody is there to end it, and is put right by whoever comes', async () => {
    await publisher.publishAll(history);
    const [moved] = [history.commit(moveRoute(key, 'grpc://half:1'))];
    await publisher.put(moved);
    const sync = follow();
    await untilHolds(sync, 4);
    expect(sync.state).toEqual({ kind: 'stale', reason: 'no relay answers' });
    expect(heldUrl(sync)).toBe('grpc://half:1');
    const other = history.commit(moveRoute(exampleKey('v2'), 'grpc://other-half:1'));
    await publisher.put(other);
    await publisher.close(history);
    answer();
    await untilHolds(sync, 6);
    await untilLive(sync);
    expect([heldUrl(sync), heldUrl(sync, 'v2')]).toEqual(['grpc://half:1', 'grpc://other-half:1']);
  });

  test('does not begin with fewer entries than the stream says that it has', async () => {
    await publisher.create('acme');
    await publisher.put(standingChanges(history).slice(1));
    await publisher.close(history);
    const sync = follow();
    await publisher.asked('acme', 3);
    expect(sync.memory.tenant).toBeUndefined();
    await publisher.put(standingChanges(history));
    await publisher.close(history);
    await untilHolds(sync, 4);
  });

  test('waits for a stream that is not there yet', async () => {
    const sync = follow();
    answer();
    await publisher.asked('acme', 2);
    expect(sync.state).toEqual({ kind: 'booting' });
    await publisher.publishAll(history);
    await untilLive(sync);
  });
});

test('who slept longer than tombstones are kept takes everything anew', async () => {
  const sync = await followLive();
  const deleted = history.commit({ kind: 'delete_route', key, etag: '' });
  history.commit(moveRoute(exampleKey('v2'), 'grpc://later:1'));
  await publisher.remove('acme');
  await publisher.create('acme');
  await publisher.put(standingChanges(history).filter(({ revision }) => revision !== deleted[0]?.revision));
  await publisher.close(history, { purgedRevision: 5, subjectCount: 2 });
  answer();
  await untilHolds(sync, 6);
  expect(heldUrl(sync)).toBeUndefined();
  expect(heldUrl(sync, 'v2')).toBe('grpc://later:1');
});

test('1,000 times begun anew, a sidecar leaves one consumer on the server at most', async () => {
  await publisher.publishAll(history);
  answer();
  const manager = await publisher.connection.jetstreamManager();
  const link = current.use(connectNats({ url: nats.url, name: 'trouble', logger }));
  const source = new NatsSource({
    link,
    consumerName: 'sidecar_trouble',
    clock,
    random,
    schedule: afterSockets,
    logger,
  });
  const memory = new SnapshotMemory({ bytesMax: 10_000_000 }).tenant('acme');
  let most = 0;
  for (let count = 0; count < 1_000; count++) {
    const stopped = new AbortController();
    const following = source.follow(
      'acme',
      undefined,
      {
        held: memory,
        part: () => {},
        cutOff: () => {},
        // Half of them are cut off as soon as they have it, half of them while they read.
        snapshot: () => stopped.abort(),
        changes: () => {},
        confirmed: () => {},
      },
      stopped.signal,
    );
    if (count % 2 === 1) await publisher.connection.flush().then(() => stopped.abort());
    await following;
    if (count % 100 === 99) {
      const { state } = await manager.streams.info(streamName('acme'));
      most = Math.max(most, state.consumer_count);
    }
  }
  expect(most).toBeLessThanOrEqual(1);
});
