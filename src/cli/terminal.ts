import type { Writable } from 'node:stream';

/** What surrounds the program; a test passes its own. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** For results only. */
  readonly stdout: Writable;
  /** For progress and errors. */
  readonly stderr: Writable;
  /** Aborts with Ctrl-C. */
  readonly signal: AbortSignal;
  /** Who runs the program, unless `--actor` says otherwise. */
  readonly actor: string;
  readonly newCorrelationId: () => string;
}
