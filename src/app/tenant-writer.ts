import { alsoRestoring } from '../domain/also-restoring.ts';
import { subjectWithCommitTime, withCommitTime, type Change, type Position } from '../domain/change.ts';
import { DomainError } from '../domain/domain-error.ts';
import { TenantDraft } from '../domain/tenant-view.ts';
import { stage, tenantNotFound, type Transaction } from '../domain/transaction.ts';
import { backoffMs } from '../platform/backoff.ts';
import type { Clock } from '../platform/clock.ts';
import type { ChangeHistory } from '../ports/change-history.ts';
import type { ChangeSignal, ConfigurationStore } from '../ports/configuration-store.ts';
import { replicaLimits } from './limits.ts';
import { replay } from './replay.ts';
import type { TenantReplica } from './tenant-replica.ts';
import {
  replyFor,
  WorkedOutTooLongAgoError,
  type WriteOutcome,
  type WriteRequest,
  type WriteResult,
} from './write-request.ts';

export type TenantWriterOptions = {
  readonly replica: TenantReplica;
  readonly store: ConfigurationStore;
  readonly history: ChangeHistory;
  readonly signal: ChangeSignal;
  readonly clock: Clock;
  readonly random: () => number;
};

type Pending = {
  readonly request: WriteRequest;
  readonly resolve: (result: WriteResult) => void;
  readonly reject: (error: unknown) => void;
  /** Set when outcomes of commits of it were lost: the revision that the first was on top of, and what each would have answered. */
  limbo: { readonly after: number; readonly planned: readonly WriteResult[] } | undefined;
};

/** What evaluating a pending request on a position came to; it holds only if the position is still the head. */
type Verdict =
  | { readonly pending: Pending; readonly result: WriteResult }
  | { readonly pending: Pending; readonly error: unknown };

/** A group of verdicts, and what must be committed for them. */
type Plan = { readonly verdicts: readonly Verdict[]; readonly changes: readonly Change[] };

/**
 * All writes of one tenant through this replica, one commit at a time. Requests that arrive while a commit is under way
 * share the next one (group commit), so a busy tenant writes faster than one statement each would allow: the tenant's row is
 * locked once a group.
 *
 * Optimistic: a group is worked out on memory and committed only if the tenant is still at that position. When another
 * replica was faster, memory catches up and the group is worked out anew. Verdicts that need no commit (refusals, no-ops, dry
 * runs) are given only once the position was confirmed too, so every answer is as strong as if it had been read from Postgres.
 */
export class TenantWriter {
  readonly #options: TenantWriterOptions;
  #queue: Pending[] = [];
  #working = false;

  constructor(options: TenantWriterOptions) {
    this.#options = options;
  }

  submit(request: WriteRequest): Promise<WriteResult> {
    if (this.#queue.length >= replicaLimits.queuedTransactionsMax) {
      return Promise.reject(
        new DomainError('OVERLOADED', 'too many writes of this tenant are waiting', { retryDelayMs: 1_000 }),
      );
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ request, resolve, reject, limbo: undefined });
      if (!this.#working) void this.#work();
    });
  }

  async #work(): Promise<void> {
    this.#working = true;
    while (this.#queue.length > 0) {
      const group = this.#nextGroup();
      if (await this.#finish(group)) continue;
      // One transaction that the database will not take must not fail its neighbours: each on its own.
      for (const pending of group) await this.#finish([pending]);
    }
    this.#working = false;
  }

  /** Settles a group, trying as often as it takes. False: an unexpected error, with several left that could be tried alone. */
  async #finish(group: readonly Pending[]): Promise<boolean> {
    let waiting = [...group];
    try {
      for (let attempt = 0; waiting.length > 0; attempt++) waiting = await this.#attempt(waiting, attempt);
    } catch (error) {
      if (waiting.length > 1 && !(error instanceof DomainError && error.reason !== 'INTERNAL')) return false;
      for (const pending of waiting) pending.reject(error);
    }
    return true;
  }

  /** Takes from the queue what fits in one commit; a request id that stands twice waits for the first one's outcome. */
  #nextGroup(): Pending[] {
    const group: Pending[] = [];
    const later: Pending[] = [];
    const requestIds = new Set<string>();
    let mutations = 0;
    for (const pending of this.#queue) {
      const { requestId, transaction } = pending.request;
      const full =
        group.length >= replicaLimits.groupTransactionsMax ||
        (group.length > 0 && mutations + transaction.mutations.length > replicaLimits.groupChangesMax);
      if (full || later.length > 0 || (requestId !== '' && requestIds.has(requestId))) {
        later.push(pending);
        continue;
      }
      requestIds.add(requestId);
      mutations += transaction.mutations.length;
      group.push(pending);
    }
    this.#queue = later;
    return group;
  }

  /** One try to settle a group; answers with those that must be tried again. */
  async #attempt(group: readonly Pending[], attempt: number): Promise<Pending[]> {
    const { replica, clock, random } = this.#options;
    try {
      if (attempt > 0) {
        if (attempt > replicaLimits.conflictsMax)
          throw new DomainError('OVERLOADED', 'other replicas keep changing this tenant', { retryDelayMs: 1_000 });
        if (attempt > 1) await clock.sleep(backoffMs(attempt - 2, replicaLimits.conflictBackoff, random));
        await replica.catchUp();
      }
      const waiting = await this.#settleCommitted(dropAborted(group));
      const position = replica.position;
      const fresh = await this.#settleReplays(waiting);
      // Replies and memory must be of one moment: a request that another replica carried out meanwhile is in the newer replies.
      if (replica.position.commitId !== position.commitId) return fresh;
      return await this.#settle(fresh, position);
    } catch (error) {
      const unavailable = error instanceof DomainError && error.reason === 'DATABASE_UNAVAILABLE';
      if (!unavailable || attempt >= replicaLimits.unavailableAttemptsMax) throw error;
      await clock.sleep(backoffMs(attempt, replicaLimits.unavailableBackoff, random));
      return [...group];
    }
  }

  /** Answers requests whose earlier attempt was committed after all, though its outcome was lost on the way. */
  async #settleCommitted(group: readonly Pending[]): Promise<Pending[]> {
    const revisions = group.flatMap((pending) => (pending.limbo === undefined ? [] : [pending.limbo.after]));
    if (revisions.length === 0) return [...group];
    const from = Math.min(...revisions) + 1;
    const { store, replica } = this.#options;
    const commits = Map.groupBy(
      await store.changesFrom(replica.tenant, from, Number.MAX_SAFE_INTEGER),
      (change) => change.commitId,
    );
    return group.filter((pending) => {
      const { transaction } = pending.request;
      const changes = commits.get(transaction.commitId);
      // A request with an id is answered by its stored reply, which was part of the same commit.
      if (changes === undefined || pending.request.requestId !== '') return true;
      pending.resolve(committedResult(changes, pending.limbo?.planned ?? []));
      return false;
    });
  }

  /** Answers the requests whose id has been used before, as it was answered then. */
  async #settleReplays(group: readonly Pending[]): Promise<Pending[]> {
    const requestIds = group.map((pending) => pending.request.requestId).filter((id) => id !== '');
    if (requestIds.length === 0) return [...group];
    const { store, history, replica } = this.#options;
    const stored = new Map((await store.replies(replica.tenant, requestIds)).map((reply) => [reply.requestId, reply]));
    const fresh: Pending[] = [];
    for (const pending of group) {
      const reply = stored.get(pending.request.requestId);
      if (reply === undefined) fresh.push(pending);
      else {
        const options = { store, history, view: replica.state };
        await replay(options, pending.request, reply).then(pending.resolve, pending.reject);
      }
    }
    return fresh;
  }

  async #settle(group: readonly Pending[], position: Position): Promise<Pending[]> {
    if (group.length === 0) return [];
    const { replica, store, signal, clock } = this.#options;
    const plan = this.#plan(group, position);
    const replies = plan.verdicts.flatMap((verdict) => {
      if (!('result' in verdict)) return [];
      const { request } = verdict.pending;
      return request.requestId === '' || request.validateOnly ? [] : [replyFor(request, verdict.result)];
    });
    if (plan.changes.length === 0 && replies.length === 0) {
      const head = await store.head(replica.tenant);
      if ((head?.position.commitId ?? '') !== position.commitId) return [...group];
      settleAll(plan.verdicts, clock.wallMs());
      return [];
    }
    const startedAtMs = clock.monotonicMs();
    const outcome = await store
      .commit({ tenant: replica.tenant, expected: position, changes: plan.changes, replies })
      .catch((error: unknown) => {
        for (const verdict of plan.verdicts) {
          const { limbo } = verdict.pending;
          const planned = 'result' in verdict ? [verdict.result] : [];
          verdict.pending.limbo = {
            after: limbo?.after ?? position.revision,
            planned: [...(limbo?.planned ?? []), ...planned],
          };
        }
        throw error;
      });
    if (outcome.kind === 'conflict') return [...group];
    replica.advance(plan.changes.map((change) => withCommitTime(change, outcome.commitTimeMs)));
    // The commit found the head where memory was, so memory is now all there is.
    replica.markVerified(startedAtMs);
    if (plan.changes.length > 0) signal.announce(replica.tenant);
    settleAll(plan.verdicts, outcome.commitTimeMs);
    return [];
  }

  /** Works out a group on memory, each transaction on top of the ones before it. Synchronous: memory cannot move meanwhile. */
  #plan(group: readonly Pending[], position: Position): Plan {
    const draft = new TenantDraft(this.#options.replica.state);
    const changes: Change[] = [];
    const verdicts = group.map((pending): Verdict => {
      const { transaction, validateOnly } = pending.request;
      try {
        if (draft.tenant === undefined && transaction.mutations[0]?.kind !== 'create_tenant')
          throw tenantNotFound(transaction.tenant);
        const staged = stage(draft, position.revision + changes.length, this.#brought(transaction, changes));
        if (!validateOnly) {
          for (const change of staged.changes) draft.apply(change);
          changes.push(...staged.changes);
        }
        const outcomes = staged.outcomes.map((outcome): WriteOutcome =>
          'subject' in outcome
            ? { subject: outcome.subject, change: outcome }
            : { subject: outcome, change: undefined },
        );
        const revision = staged.changes.at(-1)?.revision ?? position.revision + changes.length;
        return { pending, result: { revision, outcomes } };
      } catch (error) {
        return { pending, error };
      }
    });
    return { verdicts, changes };
  }

  /** A rollback, brought to what memory and the plan so far hold; anything else as it is. */
  #brought(transaction: Transaction, planned: readonly Change[]): Transaction {
    const { restoresFrom } = transaction;
    const { window } = this.#options.replica;
    // Worked out on what memory does not have yet: the commit will find that out, as for every request.
    if (restoresFrom === undefined || restoresFrom > window.end.revision) return transaction;
    if (!window.reaches(restoresFrom)) throw new WorkedOutTooLongAgoError();
    const held = [...window.unitsAfter(restoresFrom)].flatMap((unit) => unit.entries.map(({ change }) => change));
    return { ...transaction, mutations: alsoRestoring(transaction.mutations, [...held, ...planned]) };
  }
}

function dropAborted(group: readonly Pending[]): Pending[] {
  return group.filter((pending) => {
    if (!pending.request.signal.aborted || pending.limbo !== undefined) return true;
    pending.reject(
      new DomainError('DEADLINE_EXCEEDED', 'the caller went away before the write was begun; nothing was written'),
    );
    return false;
  });
}

/** The answer to a transaction that is found in the log: what the plan would have answered that had these changes. */
function committedResult(changes: readonly Change[], plans: readonly WriteResult[]): WriteResult {
  const { commitRevision: revision, commitTimeMs } = changes.at(-1) as Change;
  const committed = changes.map((change): WriteOutcome => ({ subject: change.subject, change }));
  const revisions = changes.map((change) => change.revision).join();
  const planned = plans.find(
    ({ outcomes }) => outcomes.flatMap(({ change }) => change?.revision ?? []).join() === revisions,
  );
  if (planned === undefined) return { revision, outcomes: committed };
  let next = 0;
  const outcomes = planned.outcomes.map((outcome) =>
    outcome.change === undefined ? outcome : (committed[next++] as WriteOutcome),
  );
  return timed({ revision, outcomes }, commitTimeMs);
}

function settleAll(verdicts: readonly Verdict[], commitTimeMs: number): void {
  for (const verdict of verdicts) {
    if ('error' in verdict) verdict.pending.reject(verdict.error);
    else verdict.pending.resolve(timed(verdict.result, commitTimeMs));
  }
}

function timed({ revision, outcomes }: WriteResult, commitTimeMs: number): WriteResult {
  return {
    revision,
    outcomes: outcomes.map(({ subject, change: planned }) => {
      const change = planned && withCommitTime(planned, commitTimeMs);
      // What is unchanged may be so because a transaction before it in the same commit has made it what it is.
      return { subject: change?.subject ?? subjectWithCommitTime(subject, commitTimeMs), change };
    }),
  };
}
