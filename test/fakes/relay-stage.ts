import { compareStream, heldEntry } from '../../src/app/relay/compare-stream.ts';
import { Leadership } from '../../src/app/relay/leadership.ts';
import { Relay } from '../../src/app/relay/relay.ts';
import type { Mutation } from '../../src/domain/mutation.ts';
import { createLogger } from '../../src/platform/logger.ts';
import type { ConfigurationStore } from '../../src/ports/configuration-store.ts';
import type { StreamRecord, StreamRecords } from '../../src/ports/stream-records.ts';
import { exampleTenant } from './example-configuration.ts';
import type { FakeClock } from './fake-clock.ts';
import type { InMemoryChangeStream, InMemoryStreamServer } from './in-memory-change-stream.ts';
import { InMemoryRelayLease, type InMemoryLeaseRow } from './in-memory-relay-lease.ts';
import { TestReplica } from './test-replica.ts';

/** What is remembered of the streams, shared by replicas. */
export function inMemoryStreamRecords(): StreamRecords {
  const records = new Map<string, StreamRecord>();
  return {
    read: async (tenant) => await Promise.resolve(records.get(tenant)),
    write: async (all) => {
      for (const record of all) records.set(record.tenant, record);
      await Promise.resolve();
    },
  };
}

export type RelayStageOptions = {
  readonly name: string;
  readonly store: ConfigurationStore;
  readonly server: InMemoryStreamServer;
  readonly row: InMemoryLeaseRow;
  readonly records: StreamRecords;
  readonly clock: FakeClock;
};

/** A replica that publishes, or may, with everything around it in memory, and time that a test moves. */
export class RelayStage implements AsyncDisposable {
  readonly replica: TestReplica;
  readonly stream: InMemoryChangeStream;
  readonly lease: InMemoryRelayLease;
  readonly leadership: Leadership;
  readonly relay: Relay;
  readonly #server: InMemoryStreamServer;
  readonly #clock: FakeClock;

  constructor({ name, store, server, row, records, clock }: RelayStageOptions) {
    const logger = createLogger(name, 'silent');
    this.#server = server;
    this.#clock = clock;
    // Writes wait for nothing; only the relay lives by the clock that is moved.
    this.replica = new TestReplica(store);
    this.stream = server.connect();
    this.lease = new InMemoryRelayLease(row);
    this.leadership = new Leadership({ lease: this.lease, holder: name, clock, logger });
    let epochs = 0;
    this.relay = new Relay({
      replica: this.replica.replica,
      store,
      stream: this.stream,
      leadership: this.leadership,
      records,
      newEpoch: () => `${name}-${++epochs}`,
      tombstoneKeepMs: 3_600_000,
      reconcileIntervalMs: 60_000,
      clock,
      random: () => 0.5,
      logger,
    });
  }

  async write(...mutations: readonly Mutation[]): Promise<void> {
    await this.replica.write(mutations);
  }

  /** Moves time until something holds. */
  async until(holds: () => boolean | Promise<boolean>, boundMs = 10_000): Promise<void> {
    for (let ms = 0; !(await holds()); ms += 20) {
      if (ms > boundMs) throw new Error(`did not come to hold within ${boundMs} ms`);
      this.#clock.advance(20);
      await settle();
    }
  }

  /** Moves time until the stream is what this replica's memory is. */
  async untilPublished(): Promise<void> {
    await this.until(() => this.difference() === undefined);
  }

  /** What the stream has otherwise than memory; undefined: nothing. */
  difference(tenant = exampleTenant): string | undefined {
    const held = this.replica.replica.find(tenant);
    const kept = this.#server.find(tenant);
    if (held === undefined || kept?.meta === undefined) return 'one of them is not there';
    const entries = [...kept.entries].map(([subject, stored]) => heldEntry({ subject, ...stored }));
    const { missing, extraneous, digest } = compareStream(entries, held.state, () => false);
    if (missing.length > 0 || extraneous.length > 0)
      return `${missing.length} missing, ${extraneous.length} extraneous`;
    const { position } = kept.meta;
    if (position.revision !== held.position.revision || position.commitId !== held.position.commitId)
      return `the stream is at ${position.revision}, memory at ${held.position.revision}`;
    return kept.meta.digest === digest && digest === held.state.digest.toString() ? undefined : 'digests differ';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const disposed = Promise.all([this.relay[Symbol.asyncDispose](), this.leadership[Symbol.asyncDispose]()]);
    await disposed;
  }
}

/** Lets everything that waits for nothing but promises go on: calls of the fakes are some microtasks each. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
