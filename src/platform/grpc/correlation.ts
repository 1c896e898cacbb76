import { randomUUID } from 'node:crypto';

/** The metadata that a call's correlation id comes in with and goes back with. */
export const correlationHeader = 'x-correlation-id';

/** Printable ASCII: what a log line and a header both take. */
const correlationPattern = /^[\u0020-\u007E]{1,128}$/;

/** The id that a caller gave its call; undefined: none that can be used. */
export function givenCorrelationId(text: string | undefined): string | undefined {
  return text !== undefined && correlationPattern.test(text) ? text : undefined;
}

export function newCorrelationId(): string {
  return randomUUID();
}
