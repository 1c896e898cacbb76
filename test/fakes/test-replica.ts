import { Replica } from '../../src/app/replica.ts';
import type { WriteRequest, WriteResult } from '../../src/app/write-request.ts';
import { Writer } from '../../src/app/writer.ts';
import type { Mutation } from '../../src/domain/mutation.ts';
import { createLogger } from '../../src/platform/logger.ts';
import type { ConfigurationStore } from '../../src/ports/configuration-store.ts';
import { exampleTenant, transactionOf } from './example-configuration.ts';
import { FakeClock } from './fake-clock.ts';
import { InMemoryChangeSignals } from './in-memory-change-signal.ts';
import { unaskedHistory } from './unasked-history.ts';

/** What a write is asked with beside its mutations. */
export type WriteOptions = Partial<Pick<WriteRequest, 'requestId' | 'validateOnly' | 'signal'>> & {
  readonly tenant?: string;
  readonly restoresFrom?: number;
};

let commits = 0;

/** A control-plane replica without its edges, over a store that may be shared. It does not tail the log by itself. */
export class TestReplica {
  readonly store: ConfigurationStore;
  readonly clock: FakeClock;
  readonly signals = new InMemoryChangeSignals();
  readonly replica: Replica;
  readonly writer: Writer;

  constructor(store: ConfigurationStore, clock: FakeClock = new FakeClock({ skipsSleep: true })) {
    this.store = store;
    this.clock = clock;
    const signal = this.signals.open();
    this.replica = new Replica({ store, signal, clock, logger: createLogger('control-plane', 'silent') });
    this.writer = new Writer({
      replica: this.replica,
      store,
      history: unaskedHistory,
      signal,
      clock,
      random: () => 0.5,
    });
  }

  async write(mutations: readonly Mutation[], options: WriteOptions = {}): Promise<WriteResult> {
    const {
      tenant = exampleTenant,
      requestId = '',
      validateOnly = false,
      signal = new AbortController().signal,
      restoresFrom,
    } = options;
    commits += 1;
    // As the edges do it: what was asked for, before anything is made of it.
    const question = [tenant, mutations];
    const transaction = transactionOf(tenant, `commit-${commits}`, mutations, { restoresFrom });
    return await this.writer.write({ transaction, requestId, validateOnly, question, signal });
  }
}

/** A way through that a test opens: whoever comes before waits. */
export class Gate {
  #open: (() => void) | undefined;
  readonly #opened = new Promise<void>((resolve) => (this.#open = resolve));
  #arrived: (() => void) | undefined;
  /** Resolves when somebody waits at the gate. */
  readonly reached = new Promise<void>((resolve) => (this.#arrived = resolve));

  async pass(): Promise<void> {
    this.#arrived?.();
    await this.#opened;
  }

  open(): void {
    this.#open?.();
  }
}
