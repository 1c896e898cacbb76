import type { Clock } from '../../src/platform/clock.ts';

/** Finds a peer that is gone without a word (a half-open connection) by its silence. Disposing ends the watch. */
export class SilenceWatch implements Disposable {
  readonly #clock: Clock;
  readonly #silenceMsMax: number;
  readonly #tooLong = new AbortController();
  readonly #ended = new AbortController();
  /** Undefined: paused. */
  #heardAtMs: number | undefined;

  constructor(clock: Clock, silenceMsMax: number) {
    this.#clock = clock;
    this.#silenceMsMax = silenceMsMax;
    this.#heardAtMs = clock.monotonicMs();
    void this.#run();
  }

  /** Fires when the silence was too long. */
  get tooLong(): AbortSignal {
    return this.#tooLong.signal;
  }

  broken(): void {
    this.#heardAtMs = this.#clock.monotonicMs();
  }

  /** Something was heard, and nothing more is listened to: until it is {@link broken} the next time there is no silence. */
  pause(): void {
    this.#heardAtMs = undefined;
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
  }

  async #run(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      const nowMs = this.#clock.monotonicMs();
      const remainingMs = (this.#heardAtMs ?? nowMs) + this.#silenceMsMax - nowMs;
      if (remainingMs <= 0) return this.#tooLong.abort();
      await this.#clock.sleep(remainingMs, this.#ended.signal);
    }
  }
}
