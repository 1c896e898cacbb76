import type { Freshness } from '../domain/freshness.ts';

/** Answers lookups at once, from bytes to bytes. */
export interface AnswerSource {
  /**
   * Looks for the answer to the ResolveRequest from `start` to `end`: its bytes as a ResolveResponse; -1: not at once. `isRepeated`: it was
   * found before for the same call, and is not counted once more.
   */
  find(request: Buffer, start: number, end: number, isRepeated?: boolean): number;
  /** Writes the answer that was found last, before anything else is looked for. */
  write(target: Buffer, at: number): void;
  /** How fresh that answer is. */
  readonly freshness: Freshness;
}
