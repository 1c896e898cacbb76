import type { Position } from '../../src/domain/change.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { sidecarLimits } from '../limits.ts';
import type { ChangeSink } from './change-source.ts';

/** A server's word on where a tenant is, and since when that is certain, by our clock. */
type Word = { readonly position: Position; readonly trueAtMs: number };

/** What is known at the moment when a server is asked where it is. */
export type Question = { readonly askedAtMs: number; readonly heldRevision: number };

export type Answer = { readonly position: Position; readonly stalenessMs: number };

/**
 * How fresh what a follower holds certainly is, by round trips. A message of a stream does not say how long it was under way;
 * an answer was given after its question was asked, so that what it says was true at that moment less the staleness in it,
 * by our clock alone. It proves something once all that it speaks of is held.
 */
export class FreshnessProofs {
  readonly #sink: ChangeSink;
  readonly #clock: Clock;
  /**
   * Answers that speak of more than is held, oldest first: the oldest and the newest. Of a follower that is always behind the
   * newest alone would never be reached; more of them would only make what is proven meanwhile a little fresher.
   */
  #awaited: readonly Word[] = [];
  #answeredAtMs: number;

  constructor(sink: ChangeSink, clock: Clock) {
    this.#sink = sink;
    this.#clock = clock;
    this.#answeredAtMs = clock.monotonicMs();
  }

  ask(): Question {
    return { askedAtMs: this.#clock.monotonicMs(), heldRevision: this.#sink.held.position.revision };
  }

  answered({ askedAtMs, heldRevision }: Question, { position, stalenessMs }: Answer): void {
    this.#answeredAtMs = this.#clock.monotonicMs();
    // Less than it had told before it was asked: another server, which is behind, or one whose database was restored. What the
    // latter says is no proof of what is held, and the stream is about to tell.
    if (position.revision < heldRevision) return;
    const [oldest] = this.#awaited;
    const word: Word = { position, trueAtMs: askedAtMs - stalenessMs };
    this.#awaited = oldest === undefined ? [word] : [oldest, word];
    this.moved();
  }

  /** What is held has moved on: that may be what an answer spoke of. */
  moved(): void {
    const { position } = this.#sink.held;
    const reached = this.#awaited.filter((word) => word.position.revision <= position.revision);
    if (reached.length === 0) return;
    this.#awaited = this.#awaited.filter((word) => !reached.includes(word));
    // The same revision of another history proves nothing, and the stream is about to tell of that.
    const proof = reached.findLast(
      (word) => word.position.revision < position.revision || word.position.commitId === position.commitId,
    );
    // The newest counts, not the best: what an older one proved with clocks that have stopped since (a machine that was
    // suspended) it takes back.
    if (proof !== undefined) this.#sink.confirmed(position, this.#clock.monotonicMs() - proof.trueAtMs);
  }

  /** The question was not answered. */
  failed(error: Error): void {
    const silentMs = this.#clock.monotonicMs() - this.#answeredAtMs;
    if (silentMs > sidecarLimits.silenceMsMax)
      this.#sink.cutOff(`the source does not say how fresh it is: ${error.message}`);
  }
}
