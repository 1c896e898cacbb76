import type { ChangeSignal } from '../../src/ports/configuration-store.ts';

type OnMoved = (tenants: readonly string[] | undefined) => void;

/** Wake-ups between replicas of one process. Runs the port's contract suite, as the Postgres adapter does. */
export class InMemoryChangeSignals {
  readonly #listeners = new Set<OnMoved>();
  /** Every announcement, for tests that look at them. */
  readonly announced: string[] = [];

  /** One replica's end. */
  open(): ChangeSignal {
    let own: OnMoved | undefined;
    return {
      subscribe: (onMoved) => {
        own = onMoved;
        this.#listeners.add(onMoved);
        queueMicrotask(() => onMoved(undefined));
      },
      announce: (tenant) => {
        this.announced.push(tenant);
        queueMicrotask(() => {
          for (const listener of this.#listeners) if (listener !== own) listener([tenant]);
        });
      },
    };
  }
}
