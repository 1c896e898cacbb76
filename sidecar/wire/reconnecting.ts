/** How soon a client connects again after a connection that came to nothing, ms; each time twice as long, up to the most. */
export type ReconnectLimits = { readonly msMin: number; readonly msMax: number };

export type ReconnectingOptions = {
  readonly limits: ReconnectLimits;
  readonly monotonicMs: () => number;
  /** In [0, 1): clients that lost the same server do not come back together. */
  readonly random: () => number;
};

/** `waiting`: no attempt before `untilMs`, for the last one failed. */
type State =
  | { readonly kind: 'ready'; readonly failures: number }
  | { readonly kind: 'waiting'; readonly failures: number; readonly untilMs: number };

/** When a client may try to connect. Calls in between fail at once: their callers know better than we whether to wait. */
export class Reconnecting {
  readonly #options: ReconnectingOptions;
  #state: State = { kind: 'ready', failures: 0 };

  constructor(options: ReconnectingOptions) {
    this.#options = options;
  }

  get mayTry(): boolean {
    const state = this.#state;
    if (state.kind === 'ready') return true;
    if (this.#options.monotonicMs() < state.untilMs) return false;
    this.#state = { kind: 'ready', failures: state.failures };
    return true;
  }

  /** A server has answered. */
  succeeded(): void {
    this.#state = { kind: 'ready', failures: 0 };
  }

  /** A connection was lost before the server said anything. */
  failed(): void {
    const { limits, monotonicMs, random } = this.#options;
    const { failures } = this.#state;
    const delayMs = Math.min(limits.msMax, limits.msMin * 2 ** Math.min(failures, 30));
    // Between half of it and all: never at once, and not all together.
    const untilMs = monotonicMs() + delayMs * (0.5 + random() / 2);
    this.#state = { kind: 'waiting', failures: failures + 1, untilMs };
  }
}
