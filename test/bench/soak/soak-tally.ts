/** What came of the calls of a soak. */
export type SoakCounts = {
  calls: number;
  lookups: number;
  notFound: number;
  /** Ended by what the caller did: a deadline, a cancellation, a connection that was cut. */
  late: number;
  cancelled: number;
  cut: number;
  /** Answers that were wrong, or did not come. */
  errors: number;
  /** The newest revision that was seen. */
  revision: number;
};

/** Errors that are told in words. */
const problemsMax = 20;

/** Counts until it is asked. */
export class SoakTally {
  #counts = none(0);
  #problems: string[] = [];

  count(what: Exclude<keyof SoakCounts, 'revision' | 'errors'>, by = 1): void {
    this.#counts[what] += by;
  }

  error(problem: string): void {
    this.#counts.errors++;
    if (this.#problems.length < problemsMax) this.#problems.push(problem);
  }

  saw(revision: number): void {
    if (revision > this.#counts.revision) this.#counts.revision = revision;
  }

  /** What was counted since the last time. */
  take(): SoakCounts & { readonly problems: readonly string[] } {
    const taken = { ...this.#counts, problems: this.#problems };
    this.#counts = none(this.#counts.revision);
    this.#problems = [];
    return taken;
  }
}

function none(revision: number): SoakCounts {
  return { calls: 0, lookups: 0, notFound: 0, late: 0, cancelled: 0, cut: 0, errors: 0, revision };
}
