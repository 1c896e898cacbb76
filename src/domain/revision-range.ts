import { DomainError } from './domain-error.ts';

/** Which revisions of a tenant the change log can answer for. */
export type RevisionRange = {
  /** The oldest change that is kept: 1 until retention has removed any. The first of its transaction. */
  readonly oldest: number;
  /** The tenant's newest revision. */
  readonly newest: number;
};

/** Throws REVISION_COMPACTED or REVISION_IN_FUTURE for a revision outside of the range. */
export function assertInRange(tenant: string, revision: number, range: RevisionRange): void {
  if (revision < range.oldest) throw revisionCompacted(tenant, revision, range.oldest);
  if (revision > range.newest) {
    throw new DomainError(
      'REVISION_IN_FUTURE',
      `revision ${revision} of ${tenant} is not reached; the newest is ${range.newest}`,
      { metadata: { tenant, revision: String(revision), newest_revision: String(range.newest) } },
    );
  }
}

export function revisionCompacted(tenant: string, revision: number, oldest: number): DomainError {
  return new DomainError(
    'REVISION_COMPACTED',
    `revision ${revision} of ${tenant} is no longer kept; the oldest that is kept is ${oldest}`,
    { metadata: { tenant, revision: String(revision), oldest_revision: String(oldest) } },
  );
}

/** The error for a moment before the oldest change that is kept. */
export function momentCompacted(tenant: string, timeMs: number, oldest: number): DomainError {
  const time = new Date(timeMs).toISOString();
  return new DomainError(
    'REVISION_COMPACTED',
    `what ${tenant} was at ${time} is no longer kept; the oldest revision that is kept is ${oldest}`,
    { metadata: { tenant, time, oldest_revision: String(oldest) } },
  );
}

/** The error for a moment that the database's clock has not reached. */
export function momentInFuture(tenant: string, timeMs: number, nowMs: number): DomainError {
  const [time, now] = [new Date(timeMs).toISOString(), new Date(nowMs).toISOString()];
  return new DomainError('REVISION_IN_FUTURE', `${time} is in the future: the database's clock says ${now}`, {
    metadata: { tenant, time, now },
  });
}
