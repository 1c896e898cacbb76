/** What every bench can be told. */
export type BenchOptions = {
  /** Interleaved rounds: the median of them is printed. */
  readonly rounds: number;
  /** Seconds of load a round and configuration. */
  readonly seconds: number;
  /** Routes held. */
  readonly routes: number;
};
