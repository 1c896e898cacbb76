import { DomainError } from './domain-error.ts';

/** How fresh a caller wants an answer to be. */
export type Consistency =
  /** From memory, never waiting. */
  | { readonly kind: 'eventual' }
  /** Provably no older than this. */
  | { readonly kind: 'max_staleness'; readonly stalenessMsMax: number }
  /** At this revision or a later one: read your writes. */
  | { readonly kind: 'min_revision'; readonly revision: number }
  /** As Postgres has it now. */
  | { readonly kind: 'strong' }
  /** As it was: from the change log. */
  | At;

/** A point in a tenant's past. */
export type At =
  | { readonly kind: 'at_revision'; readonly revision: number }
  /** Database clock, milliseconds since the epoch. */
  | { readonly kind: 'at_time'; readonly timeMs: number };

/** Whether the past is asked for. */
export function isPast(consistency: Consistency): consistency is At {
  return consistency.kind === 'at_revision' || consistency.kind === 'at_time';
}

/** Where an answer came from. */
export type FreshnessSource = 'SNAPSHOT' | 'CACHE' | 'CONTROL_PLANE' | 'HISTORY';

/** How fresh an answer is. */
export type Freshness = {
  readonly source: FreshnessSource;
  readonly revision: number;
  /** The answer was true at most this long ago. */
  readonly stalenessMs: number;
  /** The source of changes is cut off. */
  readonly stale: boolean;
};

export function stalenessExceeded(stalenessMs: number, stalenessMsMax: number, cause?: unknown): DomainError {
  return new DomainError(
    'STALENESS_EXCEEDED',
    `the answer may be ${Math.ceil(stalenessMs)} ms old, more than ${stalenessMsMax}`,
    {
      metadata: { staleness_ms: String(Math.ceil(stalenessMs)), max_staleness_ms: String(stalenessMsMax) },
      retryDelayMs: 1_000,
      cause,
    },
  );
}

export function revisionNotReached(revision: number, held: number): DomainError {
  return new DomainError('REVISION_NOT_REACHED', `revision ${revision} has not arrived; this process holds ${held}`, {
    metadata: { revision: String(revision), held_revision: String(held) },
    retryDelayMs: 500,
  });
}
