import type { Change, ChangeSubject } from '../domain/change.ts';
import { digest64 } from '../domain/digest.ts';
import { DomainError } from '../domain/domain-error.ts';
import type { Transaction } from '../domain/transaction.ts';
import type { CommitReply, ConfigurationStore } from '../ports/configuration-store.ts';

/** A transaction as a caller asks for it. */
export type WriteRequest = {
  readonly transaction: Transaction;
  /** '' : none. */
  readonly requestId: string;
  /** Answer with what would change, and change nothing. */
  readonly validateOnly: boolean;
  /** What was asked for: equal for repetitions of a request, and for nothing else. */
  readonly question: readonly unknown[];
  /** Fires when the caller has gone or its deadline has passed: what is not being committed yet is dropped. */
  readonly signal: AbortSignal;
};

/** What changed since a rollback was worked out is no longer all in memory: it must be worked out anew. */
export class WorkedOutTooLongAgoError extends Error {}

/** One mutation's answer. */
export type WriteOutcome = { readonly subject: ChangeSubject; readonly change: Change | undefined };

/** A transaction's answer. */
export type WriteResult = {
  /** The tenant's revision at which the outcomes hold. */
  readonly revision: number;
  /** One for each mutation, in order; a rollback has more, for what it also takes back. */
  readonly outcomes: readonly WriteOutcome[];
};

/** Of what a request asks for, whatever its id. */
function fingerprintOf({ question, validateOnly }: WriteRequest): string {
  return digest64(JSON.stringify([question, validateOnly]));
}

/** The reply to keep for a request that was carried out. */
export function replyFor(request: WriteRequest, result: WriteResult): CommitReply {
  return {
    requestId: request.requestId,
    fingerprint: fingerprintOf(request),
    revision: result.revision,
    outcomes: result.outcomes.map(({ subject, change }) => ({
      revision: change?.revision ?? revisionOf(subject),
      changed: change !== undefined,
    })),
  };
}

/** The revision of the change that made a resource what it is. */
function revisionOf(subject: ChangeSubject): number {
  return (subject.kind === 'tenant' ? subject.after.ownRevision : subject.after?.revision) ?? 0;
}

/** The first reply again, rebuilt from the change log. Throws REQUEST_ID_REUSED when something else is asked now. */
export async function replay(
  store: ConfigurationStore,
  request: WriteRequest,
  reply: CommitReply,
): Promise<WriteResult> {
  if (reply.fingerprint !== fingerprintOf(request)) {
    throw new DomainError(
      'REQUEST_ID_REUSED',
      `request id ${request.requestId} was used for another request in the last 24 hours`,
      {
        metadata: { request_id: request.requestId },
      },
    );
  }
  // Revision 0: a policy that did not exist and still does not, in a rollback: nothing to show.
  const shown = reply.outcomes.filter((outcome) => outcome.revision > 0);
  const found = await store.changesAt(
    request.transaction.tenant,
    shown.map((outcome) => outcome.revision),
  );
  const changes = new Map(found.map((change) => [change.revision, change]));
  const outcomes = shown.map(({ revision, changed }) => {
    const change = changes.get(revision);
    if (change === undefined)
      throw new DomainError('INTERNAL', 'internal error', {
        cause: new Error(`change ${revision} of a stored reply is missing`),
      });
    return changed
      ? { subject: change.subject, change }
      : { subject: unchangedSubject(change.subject, reply.revision), change: undefined };
  });
  return { revision: reply.revision, outcomes };
}

/** A resource as it was left when the tenant had reached a revision. */
function unchangedSubject(subject: ChangeSubject, revision: number): ChangeSubject {
  switch (subject.kind) {
    case 'route':
      return { ...subject, before: subject.after };
    case 'traffic_policy':
      return { ...subject, before: subject.after };
    case 'tenant': {
      const after = { ...subject.after, revision };
      return { ...subject, before: after, after };
    }
  }
}
