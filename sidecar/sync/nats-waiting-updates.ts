import { natsSourceLimits } from '../limits.ts';
import type { LiveUpdate } from './nats-stream-messages.ts';

/**
 * Updates that came while the stream is read, in order. Bounded: when they are too many all of them go, which their receiver
 * notices as a gap, and reads the stream once more.
 */
export class WaitingUpdates {
  #updates: LiveUpdate[] = [];
  #bytes = 0;

  get all(): readonly LiveUpdate[] {
    return this.#updates;
  }

  add(update: LiveUpdate, bytes: number): void {
    if (this.#bytes + bytes > natsSourceLimits.waitingBytesMax) this.takeAll();
    this.#updates.push(update);
    this.#bytes += bytes;
  }

  takeAll(): readonly LiveUpdate[] {
    const updates = this.#updates;
    this.#updates = [];
    this.#bytes = 0;
    return updates;
  }
}
