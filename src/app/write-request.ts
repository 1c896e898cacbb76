import type { Change, ChangeSubject } from '../domain/change.ts';
import { digest64 } from '../domain/digest.ts';
import type { Transaction } from '../domain/transaction.ts';
import type { CommitReply } from '../ports/configuration-store.ts';

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

/** As much of a request as its first reply is found and rebuilt by. */
export type Repetition = Pick<WriteRequest, 'requestId' | 'validateOnly' | 'question'> & {
  /** Of a mutation only the resource counts; a rollback of a tenant needs none. */
  readonly transaction: Pick<Transaction, 'tenant' | 'mutations' | 'restoresFrom'>;
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
export function fingerprintOf({ question, validateOnly }: Pick<WriteRequest, 'question' | 'validateOnly'>): string {
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
