import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRoute, createTenant, exampleKey, exampleTenant, moveRoute } from '../fakes/example-configuration.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { InMemoryStreamServer, type InMemoryChangeStream, type StreamCopy } from '../fakes/in-memory-change-stream.ts';
import { createInMemoryConfigurationStore } from '../fakes/in-memory-configuration-store.ts';
import { InMemoryLeaseRow } from '../fakes/in-memory-relay-lease.ts';
import { inMemoryStreamRecords, RelayStage } from '../fakes/relay-stage.ts';

/** One thing that happens; `replica` is the one that it happens to, where it does to one. */
type Event =
  | { readonly kind: 'write'; readonly replica: 0 | 1; readonly version: number }
  | { readonly kind: 'lose the outcome'; readonly replica: 0 | 1; readonly stored: number }
  | { readonly kind: 'cut off from the stream' | 'cut off from the database' | 'heal'; readonly replica: 0 | 1 }
  | { readonly kind: 'remove the stream' | 'copy the stream' | 'restore the copy' }
  | { readonly kind: 'lose an entry'; readonly index: number }
  | { readonly kind: 'time goes by'; readonly ms: number };

const replica = fc.constantFrom(0 as const, 1 as const);
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('write' as const), replica, version: fc.nat(4) }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('time goes by' as const), ms: fc.integer({ min: 20, max: 2_000 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('lose the outcome' as const), replica, stored: fc.nat(3) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('cut off from the stream', 'cut off from the database', 'heal'),
      replica,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('remove the stream', 'copy the stream', 'restore the copy') }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose an entry' as const), index: fc.nat(4) }) },
);

class World {
  readonly clock = new FakeClock();
  readonly server = new InMemoryStreamServer();
  readonly stages: readonly [RelayStage, RelayStage];
  #copy: StreamCopy | undefined;
  #writes = 0;

  constructor() {
    const { clock, server } = this;
    const store = createInMemoryConfigurationStore(() => clock.wallMs());
    const row = new InMemoryLeaseRow(1_200, () => clock.monotonicMs());
    const shared = { store, server, row, records: inMemoryStreamRecords(), clock };
    this.stages = [new RelayStage({ name: 'one', ...shared }), new RelayStage({ name: 'two', ...shared })];
  }

  async begin(): Promise<void> {
    await this.stages[0].write(createTenant(exampleTenant));
    await this.stages[0].write(...[0, 1, 2, 3, 4].map((version) => createRoute(exampleKey(`v${version}`))));
    await this.#follow();
    for (const { relay } of this.stages) relay.start();
    await this.stages[0].untilPublished();
  }

  async happen(event: Event): Promise<void> {
    const stage = this.stages['replica' in event ? event.replica : 0];
    switch (event.kind) {
      case 'write':
        await stage.write(
          moveRoute(exampleKey(`v${event.version}`), `grpc://host-${this.#writes++}`),
          moveRoute(exampleKey('v0'), `grpc://host-${this.#writes++}`),
        );
        return await this.#follow();
      case 'lose the outcome':
        stage.stream.loseOutcomeAfter = event.stored;
        return;
      case 'cut off from the stream':
        return stage.stream.setConnected(false);
      case 'cut off from the database':
        stage.lease.answers = false;
        return;
      case 'heal':
        stage.lease.answers = true;
        return stage.stream.setConnected(true);
      case 'remove the stream':
        return this.server.destroy(exampleTenant);
      case 'copy the stream':
        if (this.server.find(exampleTenant) !== undefined) this.#copy = this.server.copy(exampleTenant);
        return;
      case 'restore the copy':
        if (this.#copy !== undefined) this.server.restore(this.#copy);
        return;
      case 'lose an entry': {
        const { entries } = this.server.find(exampleTenant) ?? { entries: new Map<string, unknown>() };
        const subject = [...entries.keys()][event.index];
        if (subject !== undefined) entries.delete(subject);
        return;
      }
      case 'time goes by': {
        const endMs = this.clock.monotonicMs() + event.ms;
        return await stage.until(() => this.clock.monotonicMs() >= endMs);
      }
    }
  }

  /** Everything is well again. */
  async heal(): Promise<void> {
    for (const stage of this.stages) {
      stage.lease.answers = true;
      stage.stream.loseOutcomeAfter = undefined;
      stage.stream.setConnected(true);
    }
    // A comparison of all entries is due once a minute here; a quick look every two seconds finds everything else.
    await this.stages[0].until(() => this.stages[0].difference() === undefined, 6_000);
  }

  /** Memory follows the log, which the fakes do not do by themselves. */
  async #follow(): Promise<void> {
    for (const stage of this.stages) await stage.replica.replica.findStrong(exampleTenant);
  }

  async end(): Promise<void> {
    const ended = Promise.all(this.stages.map(async (stage) => await stage[Symbol.asyncDispose]()));
    this.clock.advance(10_000);
    await ended;
  }
}

/** What one replica told: whole ranges, nothing twice under one epoch. */
function expectContiguous({ updates }: InMemoryChangeStream): void {
  const told = new Map<string, number>();
  for (const { update } of updates) {
    const { epoch, after, position, changes } = update;
    const length = changes.length === 0 ? 0 : position.revision - after;
    expect(changes.map(({ revision }) => revision)).toEqual(Array.from({ length }, (_, index) => after + 1 + index));
    expect(after).toBeGreaterThanOrEqual(told.get(epoch) ?? 0);
    told.set(epoch, position.revision);
  }
}

describe('the relay, whatever happens', () => {
  test('brings the stream to what Postgres has, and never goes back within an epoch', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 40 }), async (events) => {
        const world = new World();
        try {
          await world.begin();
          for (const each of events) await world.happen(each);
          await world.heal();
          for (const { stream } of world.stages) expectContiguous(stream);
          const reached = new Map<string, number>();
          for (const { batch } of world.server.batches) {
            if (batch.meta === undefined) continue;
            const { epoch, position } = batch.meta;
            expect(position.revision).toBeGreaterThanOrEqual(reached.get(epoch) ?? 0);
            reached.set(epoch, position.revision);
          }
        } finally {
          await world.end();
        }
      }),
      { numRuns: 200 },
    );
  });
});
