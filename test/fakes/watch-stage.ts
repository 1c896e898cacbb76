import { Metadata } from '@grpc/grpc-js';
import type { WindowBounds } from '../../src/domain/change-window.ts';
import type { DomainError } from '../../src/domain/domain-error.ts';
import { tenantNotFound } from '../../src/domain/transaction.ts';
import { WatchRequest } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import { watchHandlers } from '../../src/serving/watch-service.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeWatchedTenant } from './fake-watched-tenant.ts';
import { FakeWatchStream } from './fake-watch-stream.ts';

/** One watch: its client, and how it ended. */
export type FakeWatch = {
  readonly stream: FakeWatchStream;
  /** Undefined while it goes on; 'cancelled' when the client went away. */
  readonly outcome: () => DomainError | 'cancelled' | undefined;
  /** The client goes away; what it has not read is lost. */
  cancel(): void;
};

export type WatchStageOptions = {
  readonly bounds?: WindowBounds;
  readonly stallMsMax?: number;
  readonly watchersMax?: number;
  readonly watchersMaxOf?: (tenant: string) => number;
};

/** WatchService over a made-up tenant, with the event loop and the time in the test's hands. */
export class WatchStage {
  readonly clock = new FakeClock();
  readonly tenant: FakeWatchedTenant;
  readonly #draining = new AbortController();
  readonly #handlers: ReturnType<typeof watchHandlers>;
  #scheduled: (() => void)[] = [];
  /** Reads of the log so far. */
  logReads = 0;
  /** What the next reads of the log fail with. */
  logError: Error | undefined;

  constructor(options: WatchStageOptions = {}) {
    const { bounds = { changesMax: 10_000, bytesMax: 16 * 1024 * 1024 }, stallMsMax = 30_000 } = options;
    const { watchersMax = 1_000_000, watchersMaxOf = () => 1_000_000 } = options;
    this.tenant = new FakeWatchedTenant('acme', { bounds, monotonicMs: () => this.clock.monotonicMs() });
    this.#handlers = watchHandlers({
      source: {
        open: async (name) => this.#find(name),
        find: async (name) => this.#find(name),
        older: async (_tenant, from, limit) => {
          this.logReads++;
          if (this.logError !== undefined) throw this.logError;
          return this.tenant.older(from, limit);
        },
      },
      clock: this.clock,
      schedule: (run) => void this.#scheduled.push(run),
      stallMsMax,
      watchersMax,
      watchersMaxOf,
    });
  }

  /** The handler of GetPosition. */
  get getPosition(): ReturnType<typeof watchHandlers>['getPosition'] {
    return this.#handlers.getPosition;
  }

  #find(name: string): FakeWatchedTenant {
    if (name !== this.tenant.name) throw tenantNotFound(name);
    return this.tenant;
  }

  /** Begins a watch; it is served once the event loop turns. */
  watch(fields: Partial<WatchRequest> = {}, stream = new FakeWatchStream()): FakeWatch {
    const cancelled = new AbortController();
    let outcome: DomainError | 'cancelled' | undefined;
    const request = { ...WatchRequest.decode(new Uint8Array()), tenant: this.tenant.name, ...fields };
    this.#handlers
      .watch(request, stream, {
        signal: cancelled.signal,
        draining: this.#draining.signal,
        deadlineMs: undefined,
        correlationId: 'test',
        metadata: new Metadata(),
      })
      .then(
        () => (outcome = 'cancelled'),
        (error: unknown) => (outcome = error as DomainError),
      );
    return {
      stream,
      outcome: () => outcome,
      cancel: () => {
        stream.lose();
        cancelled.abort();
      },
    };
  }

  /** The server begins to shut down. */
  drain(): void {
    this.#draining.abort();
  }

  /** One turn of the event loop. */
  turn(): void {
    for (const run of this.#scheduled.splice(0)) run();
  }

  /** Turns the event loop until nothing is left to do. */
  async settle(): Promise<void> {
    do {
      this.turn();
      await nextTurn();
    } while (this.#scheduled.length > 0);
  }

  /** Lets time pass, in so many steps: a process looks at the time only now and then. */
  async pass(durationMs: number, steps = 12): Promise<void> {
    for (let step = 0; step < steps; step++) {
      this.clock.advance(durationMs / steps);
      await this.settle();
    }
  }
}

/** Every promise that can be settled is, and every callback has run. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
