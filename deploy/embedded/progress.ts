/** Tells the person at the terminal what happens, as it happens: one line each. */
export type Progress = (line: string) => void;

/** Where lines go, and the time since the beginning. */
export interface ProgressOptions {
  readonly write: (text: string) => void;
  /** Milliseconds since any fixed moment. */
  readonly now: () => number;
}

/** Puts the time that has passed since now in front of each line: `[ 1.2 s] Postgres 18.4 is ready …`. */
export function createProgress(options: ProgressOptions): Progress {
  const start = options.now();
  return (line) => {
    const seconds = ((options.now() - start) / 1000).toFixed(1);
    options.write(`[${seconds.padStart(4)} s] ${line}\n`);
  };
}
