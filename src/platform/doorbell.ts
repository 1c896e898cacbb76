/** Wakes one loop. A ring while nobody waits is kept, and any number of them is one. */
export class Doorbell {
  #rung = false;
  #open: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#open?.();
  }

  /** Resolves after a ring, or when the signal fires. One waiter at a time. */
  async heard(signal: AbortSignal): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#open = resolve;
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
      this.#open = undefined;
    }
    this.#rung = false;
  }
}
