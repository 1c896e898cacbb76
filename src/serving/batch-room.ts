import { DomainError } from '../domain/domain-error.ts';
import { resolverLimits } from './limits.ts';

/**
 * Room for the answers of batches that wait for their others. It is shared by all batches: each alone is bounded, but thousands may wait, and
 * with large routes a hundred of them would be more than a process has.
 */
export class BatchRoom {
  #bytesLeft: number = resolverLimits.waitingAnswerBytesMax;

  /** The same for all: a stack of its own costs more than the refusal. */
  readonly #full = new DomainError('OVERLOADED', 'the answers of too many batches wait for others', {
    retryDelayMs: 1_000,
  });

  /** For an answer of so many bytes; throws OVERLOADED when there is none, and takes none. */
  take(answerBytes: number): void {
    const bytes = answerBytes + resolverLimits.waitingAnswerBytes;
    if (bytes > this.#bytesLeft) throw this.#full;
    this.#bytesLeft -= bytes;
  }

  /** Gives back what so many answers took, of so many bytes together. */
  give(answers: number, answerBytes: number): void {
    this.#bytesLeft += answerBytes + answers * resolverLimits.waitingAnswerBytes;
  }
}
