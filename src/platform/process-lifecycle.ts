export type ProcessOptions = {
  /** Builds everything; `running` is disposed when the process is asked to stop, and may take `stopMsMax` for that. */
  readonly start: () => Promise<{ readonly running: AsyncDisposable; readonly stopMsMax: number }>;
  /** Errors that the operator can mend: their message is shown as one line, without a stack. */
  readonly operatorErrors: readonly (new (...parameters: never[]) => Error)[];
};

/** What a stop may take besides the calls under way, ms: closing connections. Less than what is left of Kubernetes' 30 s. */
export const stopReserveMs = 5_000;

/**
 * A process's life: start, tell the parent (if it started us with an IPC channel), serve until SIGTERM, SIGINT or the
 * parent's death, stop in order. A start that fails prints one line and exits with 1, and so does a stop that takes too long
 * (a database that accepts connections and never answers). The same signal again ends it at once; the other one changes nothing,
 * because a terminal's Ctrl-C comes as SIGINT to everybody and as SIGTERM through our parent.
 */
export async function runProcess({ start, operatorErrors }: ProcessOptions): Promise<void> {
  const asked = untilAskedToStop();
  try {
    const { running, stopMsMax } = await start();
    process.send?.({ type: 'ready' });
    await asked;
    setTimeout(() => {
      process.stderr.write(`error: it did not stop within ${stopMsMax} ms; ended without an orderly stop\n`);
      process.exit(1);
    }, stopMsMax);
    await running[Symbol.asyncDispose]();
    process.exit(0);
  } catch (error) {
    const mendable = operatorErrors.some((kind) => error instanceof kind);
    process.stderr.write(`error: ${mendable && error instanceof Error ? error.message : describe(error)}\n`);
    process.exit(1);
  }
}

function untilAskedToStop(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
    if (process.send !== undefined) process.once('disconnect', () => resolve());
  });
}

/** An unexpected error: its message first, on one line, then where it comes from. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : '';
  return `${error.message.split('\n', 1)[0]}${cause}\n${error.stack ?? ''}`;
}
