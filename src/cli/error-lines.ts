import { TrafficManagerError } from '../client/index.ts';
import { ApplyError } from './apply.ts';
import { ManifestError } from './manifest.ts';

/** A failure as the lines that stderr shows. */
export function errorLines(error: unknown): string[] {
  if (error instanceof TrafficManagerError) {
    const [summary = '', ...details] = callErrorLines(error);
    return [`error: ${summary}`, ...details, ...correlationLines(error)];
  }
  if (error instanceof ApplyError) {
    const refused = error.refused.flatMap((refusal) => {
      const [summary = '', ...details] = callErrorLines(refusal.error);
      return [`  ${refusal.resource}: ${summary}`, ...details.map((line) => `  ${line}`)];
    });
    return [`error: ${error.message}`, ...refused, ...correlationLines(error.refused[0]?.error)];
  }
  if (error instanceof ManifestError || isSystemError(error)) return [`error: ${error.message}`];
  // Nothing that a user can mend: where it happened is what a bug report needs.
  return [`error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`];
}

/** What is wrong in one line, then a line for each field violation and for what to do. */
function callErrorLines(error: TrafficManagerError): string[] {
  const reason = error.reason === '' ? '' : ` (${error.reason})`;
  return [
    `${error.code}${reason}: ${error.message}`,
    ...error.fieldViolations.map(({ field, description }) => `  ${field}: ${description}`),
    ...(error.retryDelayMs === undefined ? [] : [`  retry after: ${error.retryDelayMs} ms`]),
    ...(error.reason === 'SHRINK_REFUSED' ? ['  if that is meant: --force, or "force": true in JSON'] : []),
  ];
}

function correlationLines(error: TrafficManagerError | undefined): string[] {
  return error?.correlationId === undefined ? [] : [`  correlation id: ${error.correlationId}`];
}

/** An error of the operating system, such as ENOENT; its message says it all. */
function isSystemError(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error;
}
