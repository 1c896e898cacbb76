import type { FuzzOutcome } from './check-written.ts';

/** How far fuzzed connections got: a fuzzer whose connections all end the same way tests little. */
export class Reached {
  readonly #counts = new Map<string, number>();
  #connections = 0;
  #completed = 0;

  add({ end, error, resets, completed }: FuzzOutcome): void {
    this.#connections++;
    this.#completed += completed;
    this.#count(end === 'refused' ? `ended with ${error}` : end);
    for (const reset of new Set(resets)) this.#count(`reset ${reset}`);
  }

  /** Connections that came to something: `alive`, `ended`, `ended with PROTOCOL_ERROR`, `reset CANCEL`. */
  count(what: string): number {
    return this.#counts.get(what) ?? 0;
  }

  /** Streams that the engine said all of, of each connection on average. */
  get completedEach(): number {
    return this.#completed / this.#connections;
  }

  get text(): string {
    const shares = [...this.#counts]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([what, count]) => `${what} ${((100 * count) / this.#connections).toFixed(2)} %`);
    return `${this.completedEach.toFixed(2)} streams completed each; ${shares.join(', ')}`;
  }

  #count(what: string): void {
    this.#counts.set(what, this.count(what) + 1);
  }
}
