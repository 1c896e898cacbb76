import type { Clock } from '../../src/platform/clock.ts';

/** 2026-01-01T00:00:00Z: the wall time when the clock is made. */
const startWallMs = Date.UTC(2026, 0, 1);

type Sleeper = { readonly dueMs: number; readonly wake: () => void };

export type FakeClockOptions = {
  /** Sleeping takes no waiting: it moves the time by itself. For retries whose delays do not matter. */
  readonly skipsSleep?: boolean;
};

/** Time that a test moves by hand. It starts at 0. */
export class FakeClock implements Clock {
  readonly #skipsSleep: boolean;
  #nowMs = 0;
  readonly #sleepers = new Set<Sleeper>();
  #onSleep: (() => void)[] = [];

  constructor({ skipsSleep = false }: FakeClockOptions = {}) {
    this.#skipsSleep = skipsSleep;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return startWallMs + this.#nowMs;
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      if (this.#skipsSleep) {
        this.advance(durationMs);
        return resolve();
      }
      const sleeper: Sleeper = {
        dueMs: this.#nowMs + durationMs,
        wake: () => {
          this.#sleepers.delete(sleeper);
          signal?.removeEventListener('abort', sleeper.wake);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', sleeper.wake, { once: true });
      for (const listener of this.#onSleep.splice(0)) listener();
    });
  }

  /** Resolves when somebody sleeps; at once when somebody does already. */
  async untilSomebodySleeps(): Promise<void> {
    if (this.#sleepers.size > 0) return;
    await new Promise<void>((resolve) => this.#onSleep.push(resolve));
  }

  /** Moves time and wakes whoever is due by then. */
  advance(durationMs: number): void {
    this.#nowMs += durationMs;
    for (const sleeper of this.#sleepers) if (sleeper.dueMs <= this.#nowMs) sleeper.wake();
  }
}
