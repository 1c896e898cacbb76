import assert from 'node:assert/strict';
import { ChangeAction, type Change } from '../../../src/client/index.ts';
import { CommitTimes } from './commit-times.ts';
import { evaluate, type Outcome, type ShrinkProtection, type Step } from './evaluate.ts';
import type { Call, Read, Reply, Write } from './operation.ts';
import { explainsRead, refusesRead } from './check-reads.ts';
import { pathOfChange, policyValueOf, routeValueOf, stateNames, type Commit, type TenantLog } from './tenant-log.ts';

/** What a run came to; the numbers tell whether it has tried everything. */
export type Findings = { readonly violations: readonly string[]; readonly seen: Readonly<Record<string, number>> };

type WriteCall = Call & { readonly operation: Write };
type ReadCall = Call & { readonly operation: Read };

/**
 * Holds every call of a run against the log that it left. Each write must be one step of its tenant's serial history, at a place
 * between its call's begin and end; each refusal and each read must be right for some revision in that time.
 */
export class CallCheck {
  readonly #log: TenantLog;
  readonly #shrink: ShrinkProtection;
  readonly #times: CommitTimes;
  readonly #commits: ReadonlyMap<string, readonly Commit[]>;
  readonly violations: string[] = [];
  readonly seen: Record<string, number> = {};

  constructor(log: TenantLog, calls: readonly Call[], shrink: ShrinkProtection) {
    this.#log = log;
    this.#shrink = shrink;
    this.#times = new CommitTimes(log, calls);
    // The first commit is that of the tenant itself, before the run.
    this.#commits = Map.groupBy(log.commits.slice(1), ({ changes }) => changes[0]?.correlationId ?? '');
    const own = calls.filter(({ operation }) => operation.tenant === log.tenant);
    for (const call of own) if (isRead(call)) this.#guard(call, () => this.#checkRead(call));
    const attempts = Map.groupBy(own.filter(isWrite), ({ operation }) => operation.id);
    for (const each of attempts.values()) this.#guard(each[0]!, () => this.#checkWrite(each));
    for (const [id, [commit]] of this.#commits) {
      if (!attempts.has(id)) this.violations.push(`nobody asked for ${id}, commit ${commit?.first}`);
    }
  }

  #guard(call: Call, check: () => void): void {
    try {
      check();
    } catch (error) {
      const { message } = error as Error;
      this.violations.push(`${message}\n  ${this.#log.tenant}: ${describe(call)}`);
    }
  }

  #checkRead(call: ReadCall): void {
    const { operation, result } = call;
    const { what } = operation;
    this.#count(result.kind === 'refused' ? `${what.kind} ${result.error.reason}` : `${what.kind} ${result.kind}`);
    if (result.kind === 'unknown') return;
    const from = this.#oldestReadable(call);
    const to = this.#times.newestAt(call.endedAt);
    const revisions = this.#log.boundaries(from, to);
    const explained = revisions.some((revision) =>
      result.kind === 'reply'
        ? explainsRead(this.#log, revision, what, result.reply)
        : refusesRead(this.#log, revision, what, result.error.reason),
    );
    assert(explained, `no revision in ${from}..${to} explains the answer`);
  }

  #oldestReadable({ operation, knownRevision }: ReadCall): number {
    const { what } = operation;
    if (what.kind !== 'resolve') return knownRevision;
    if (what.consistency.kind === 'eventual') return 1;
    return what.consistency.kind === 'min_revision' ? what.consistency.revision : knownRevision;
  }

  #checkWrite(attempts: readonly WriteCall[]): void {
    const { operation } = attempts[0]!;
    const commits = this.#commits.get(operation.id) ?? [];
    assert(commits.length <= 1, `it was carried out ${commits.length} times`);
    const [commit] = commits;
    const replies = attempts.flatMap(({ result }) => (result.kind === 'reply' ? [result.reply] : []));
    const kind = operation.work.kind === 'single' ? operation.work.mutation.kind : operation.work.kind;
    for (const { result } of attempts) {
      const dry = operation.validateOnly ? 'dry ' : '';
      this.#count(result.kind === 'refused' ? `${dry}${kind} ${result.error.reason}` : `${dry}${kind} ${result.kind}`);
    }
    for (const reply of replies) assert.deepEqual(reply, replies[0], 'a repetition was answered differently');
    if (replies.length > 1) this.#count('repeated');
    if (operation.reusesRequestId) {
      for (const { result } of attempts) {
        if (result.kind === 'refused')
          assert(
            ['REQUEST_ID_REUSED', 'INVALID_FIELDS', 'REVISION_IN_FUTURE'].includes(result.error.reason),
            result.error.reason,
          );
        assert.notEqual(result.kind, 'reply');
      }
      assert.equal(commit, undefined, 'a request id was carried out twice');
      return;
    }
    const answered = attempts.filter(({ result }) => result.kind === 'reply');
    for (const call of attempts) {
      if (call.result.kind === 'refused') this.#checkRefusal(call, call.result.error, commit, answered);
    }
    if (commit !== undefined) this.#checkCommit(operation, commit, attempts);
    const [reply] = replies;
    if (reply === undefined) {
      const lost = attempts.some(({ result }) => result.kind === 'unknown');
      assert(commit === undefined || lost, 'it was carried out, and refused');
      if (commit !== undefined) this.#count('carried out, though never acknowledged');
      return;
    }
    const from = Math.min(...attempts.map(({ knownRevision }) => knownRevision));
    const to = this.#times.newestAt(Math.min(...answered.map(({ endedAt }) => endedAt)));
    if (operation.validateOnly) this.#checkDryRun(operation, reply, { from, to });
    else if (commit === undefined) this.#checkNothingChanged(operation, reply, { from, to });
    else this.#checkReply(operation, reply, commit);
  }

  #checkRefusal(
    call: WriteCall,
    error: { readonly reason: string; readonly metadata: Readonly<Record<string, string>>; readonly code: string },
    commit: Commit | undefined,
    answered: readonly Call[],
  ): void {
    assert(!answered.some(({ endedAt }) => endedAt < call.startedAt), 'it was acknowledged before, and is refused now');
    const from = call.knownRevision;
    const to = Math.min(this.#times.newestAt(call.endedAt), commit === undefined ? Infinity : commit.first - 1);
    const legal = this.#log.boundaries(from, to).some((revision) => {
      const outcome = this.#evaluate(revision, call.operation);
      if (outcome.kind !== 'refused' || !outcome.reasons.has(error.reason)) return false;
      return error.metadata['index'] === outcome.index?.toString();
    });
    assert(
      legal,
      `${error.code} ${error.reason} ${JSON.stringify(error.metadata)} is right for no revision in ${from}..${to}`,
    );
  }

  /** The log has exactly what the model makes of the write on top of what was there. */
  #checkCommit(operation: Write, commit: Commit, attempts: readonly Call[]): void {
    assert(!operation.validateOnly, 'a dry run was carried out');
    const known = Math.min(...attempts.map(({ knownRevision }) => knownRevision));
    assert(
      commit.first > known,
      `committed at ${commit.first}, though ${known} had been acknowledged before it was asked for`,
    );
    const outcome = this.#evaluate(commit.first - 1, operation);
    assert(outcome.kind === 'done', `carried out on ${commit.first - 1}, where it must be refused`);
    assert.deepEqual(changedBy(operation, outcome.steps), inOrder(operation, commit.changes.map(asStep)));
  }

  #checkReply(operation: Write, reply: Reply, commit: Commit): void {
    assert.equal(reply.revision, commit.last);
    if (operation.work.kind === 'rollback_tenant') {
      assert.equal(reply.changedCount, commit.changes.length);
      return;
    }
    if (reply.results !== undefined) return this.#checkResults(operation, reply, commit.first - 1);
    assert.deepEqual(reply.changes, commit.changes);
    const { resource } = commit.changes[0]!;
    if (resource?.$case === 'route') assert.deepEqual(reply.route, resource.value.after);
    if (resource?.$case === 'trafficPolicy') assert.deepEqual(reply.policy, resource.value.after);
  }

  #checkNothingChanged(operation: Write, reply: Reply, { from, to }: { from: number; to: number }): void {
    const revision = reply.revision ?? -1;
    assert(revision >= from && revision <= to, `answered as of ${revision}, which is not in ${from}..${to}`);
    assert(this.#log.isBoundary(revision), `answered as of ${revision}, in the middle of a transaction`);
    const outcome = this.#evaluate(revision, operation);
    assert(outcome.kind === 'done', `acknowledged at ${revision}, where it must be refused`);
    assert.deepEqual(changedBy(operation, outcome.steps), [], 'acknowledged, but it is not there');
    assert.deepEqual(reply.changes, []);
    if (reply.results !== undefined) return this.#checkResults(operation, reply, revision);
    if (operation.work.kind === 'rollback_tenant') return assert.equal(reply.changedCount, 0);
    const [step] = outcome.steps;
    assert.deepEqual(reply.route, step?.route?.wire);
    assert.deepEqual(reply.policy, step?.policy?.wire);
  }

  /** What a dry run says is what would happen at that moment. */
  #checkDryRun(operation: Write, reply: Reply, { from, to }: { from: number; to: number }): void {
    const base = (reply.revision ?? -1) - (reply.changedCount ?? reply.changes.length);
    assert(base >= from && base <= to, `a dry run on ${base}, which is not in ${from}..${to}`);
    assert(this.#log.isBoundary(base), `a dry run on ${base}, in the middle of a transaction`);
    const outcome = this.#evaluate(base, operation);
    assert(outcome.kind === 'done', `a dry run is accepted at ${base}, where it must be refused`);
    assert.deepEqual(changedBy(operation, outcome.steps), inOrder(operation, reply.changes.map(asStep)));
    const revisions = reply.changes.map(({ revision }) => Number(revision));
    assert.deepEqual(
      revisions,
      revisions.map((_, index) => base + 1 + index),
    );
  }

  #checkResults(operation: Write, reply: Reply, base: number): void {
    const outcome = this.#evaluate(base, operation);
    assert(outcome.kind === 'done');
    let next = base;
    const wanted = outcome.steps.map(({ action, route, policy }) => {
      const changed = action !== undefined;
      if (changed) next += 1;
      const revision = changed ? next : ((route ?? policy)?.revision ?? 0);
      const { resource } = this.#log.change(revision);
      const after = resource?.$case === 'tenantChange' ? undefined : resource?.value.after;
      return { revision: BigInt(revision), etag: after?.etag ?? '', changed, change: undefined };
    });
    assert.deepEqual(reply.results, wanted);
  }

  #evaluate(revision: number, { work }: Write): Outcome {
    return evaluate(this.#log, revision, work, this.#shrink);
  }

  #count(what: string): void {
    this.seen[what] = (this.seen[what] ?? 0) + 1;
  }
}

type Changed = { readonly path: string; readonly action: string; readonly becomes: unknown };

function changedBy(operation: Write, steps: readonly Step[]): Changed[] {
  const changed = steps.flatMap(({ path, action, route, policy }): Changed[] => {
    if (action === undefined) return [];
    const becomes = route === undefined ? policy?.value : { ...route.value, state: route.state };
    return [{ path, action, becomes }];
  });
  return inOrder(operation, changed);
}

/** In which order the changes of a rollback come is not promised. */
function inOrder(operation: Write, changed: Changed[]): Changed[] {
  if (operation.work.kind !== 'rollback_tenant') return changed;
  return changed.toSorted((left, right) => (left.path < right.path ? -1 : 1));
}

const actionNames = Object.fromEntries(
  Object.entries(ChangeAction).map(([name, value]) => [value, name.replace('CHANGE_ACTION_', '')]),
);

function asStep(change: Change): Changed {
  const { resource, action } = change;
  const path = pathOfChange(change);
  let becomes: unknown;
  if (resource?.$case === 'route' && resource.value.after !== undefined)
    becomes = { ...routeValueOf(resource.value.after), state: stateNames[resource.value.after.state] };
  if (resource?.$case === 'trafficPolicy' && resource.value.after !== undefined)
    becomes = policyValueOf(resource.value.after);
  return { path, action: actionNames[action] ?? '', becomes };
}

function isRead(call: Call): call is ReadCall {
  return call.operation.kind === 'read';
}

function isWrite(call: Call): call is WriteCall {
  return call.operation.kind === 'write';
}

function describe(call: Call): string {
  return JSON.stringify(call, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value)).slice(
    0,
    2_000,
  );
}
