import type { Position } from '../domain/change.ts';
import { DomainError } from '../domain/domain-error.ts';
import { watchLimits } from './limits.ts';

/** How a watch ends; WatchService's comment says what a client does then. */

export function compacted(tenant: string, { revision }: { readonly revision: number } = { revision: 0 }): DomainError {
  return new DomainError(
    'REVISION_COMPACTED',
    `changes of ${tenant} after revision ${revision} are not kept here; start again with a snapshot`,
    { metadata: { tenant, revision: String(revision) } },
  );
}

export function revisionInFuture(
  tenant: string,
  { revision, newest }: { revision: number; newest: number },
): DomainError {
  return new DomainError(
    'REVISION_IN_FUTURE',
    `revision ${revision} of ${tenant} is not reached; the newest is ${newest}`,
    { metadata: { tenant, revision: String(revision), newest_revision: String(newest) } },
  );
}

/** The revision that the client resumes after had another commit id when the client saw it. */
export function historyDiverged(tenant: string, { revision, commitId }: Position): DomainError {
  return new DomainError(
    'HISTORY_DIVERGED',
    `revision ${revision} of ${tenant} is not the one that was seen: the database was restored`,
    { metadata: { tenant, revision: String(revision), commit_id: commitId } },
  );
}

/** Memory was taken anew: what was sent may not be part of the history. */
export function historyReplaced(tenant: string, seen: Position | undefined): DomainError {
  return new DomainError('HISTORY_DIVERGED', `the history of ${tenant} was replaced; start again with a snapshot`, {
    metadata: { tenant, ...(seen === undefined ? {} : { revision: String(seen.revision) }) },
  });
}

/** `resume` undefined: it has no whole snapshot to go on from. */
export function tooSlow(tenant: string, resume: Position | undefined): DomainError {
  const how = resume === undefined ? 'start again' : `resume after revision ${resume.revision}`;
  return new DomainError('WATCHER_TOO_SLOW', `this watch of ${tenant} reads too slowly; ${how}`, {
    metadata: {
      tenant,
      ...(resume === undefined ? {} : { revision: String(resume.revision), commit_id: resume.commitId }),
    },
  });
}

export function watcherLimit(what: string, watchersMax: number): DomainError {
  return new DomainError('WATCHER_LIMIT', `${what} has ${watchersMax} watchers, as many as it may`, {
    metadata: { limited: what, watchers_max: String(watchersMax) },
    retryDelayMs: watchLimits.refusedRetryMs,
  });
}

export function shuttingDown(): DomainError {
  return new DomainError('SHUTTING_DOWN', 'the server is shutting down; resume anywhere', { retryDelayMs: 0 });
}
