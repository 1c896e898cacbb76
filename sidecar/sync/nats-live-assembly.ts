import type { Change } from '../../src/domain/change.ts';
import { natsSourceLimits } from '../limits.ts';
import type { LiveUpdate } from './nats-stream-messages.ts';

/** What came of a message: an update that is whole, one that lacks a part, or nothing yet. */
export type Assembled =
  | { readonly kind: 'whole'; readonly update: LiveUpdate }
  | { readonly kind: 'broken'; readonly update: LiveUpdate }
  | { readonly kind: 'partial' };

/**
 * Puts updates together that came in several messages, so that what belongs together is applied in one step or not at all. A part
 * that came twice is passed over; one that never came, or more than may be kept, breaks the update.
 */
export class LiveAssembly {
  #first: LiveUpdate | undefined;
  #changes: Change[] = [];
  #next = 0;
  #bytes = 0;
  #isBroken = false;

  take(update: LiveUpdate, bytes: number): Assembled {
    if (!this.#continues(update)) this.#begin(update);
    this.#bytes += bytes;
    if (this.#bytes > natsSourceLimits.assemblyBytesMax) this.#break();
    for (const change of update.changes) this.#add(change);
    if (update.continued) return { kind: 'partial' };
    const isWhole = !this.#isBroken && this.#next === update.position.revision + 1;
    const changes = this.#changes;
    this.#first = undefined;
    this.#changes = [];
    return isWhole ? { kind: 'whole', update: { ...update, changes } } : { kind: 'broken', update };
  }

  #continues({ epoch, after, position, term }: LiveUpdate): boolean {
    const first = this.#first;
    return (
      first !== undefined &&
      first.epoch === epoch &&
      first.after === after &&
      first.position.commitId === position.commitId &&
      first.term === term
    );
  }

  #begin(update: LiveUpdate): void {
    this.#first = update;
    this.#changes = [];
    this.#next = update.after + 1;
    this.#bytes = 0;
    this.#isBroken = false;
  }

  #add(change: Change): void {
    if (this.#isBroken || change.revision < this.#next) return;
    if (change.revision > this.#next) return this.#break();
    this.#changes.push(change);
    this.#next++;
  }

  /** What is kept of it goes at once: it is of no use any more. */
  #break(): void {
    this.#isBroken = true;
    this.#changes = [];
  }
}
