import type { Change, ChangeSubject } from './change.ts';
import { DomainError } from './domain-error.ts';
import { evaluate, type Mutation } from './mutation.ts';
import { TenantDraft, type TenantView } from './tenant-view.ts';
import { trafficPolicyName, versionsNamedBy, type TrafficPolicyKey } from './traffic-policy.ts';

/** Mutations of one tenant that commit together or not at all. */
export type Transaction = {
  readonly tenant: string;
  readonly mutations: readonly Mutation[];
  /** Random; the same for every attempt to commit it, so that an attempt whose outcome was lost is recognised. */
  readonly commitId: string;
  readonly actor: string;
  readonly correlationId: string;
};

/** What a transaction comes to on top of a view. */
export type Staged = {
  /** In revision order, without their commit time; empty when everything already held. */
  readonly changes: readonly Change[];
  /** One for each mutation, in order: its change, or the resource as it already was. */
  readonly outcomes: readonly (Change | ChangeSubject)[];
};

/**
 * Evaluates a transaction on a view whose newest revision is `revision`, mutation by mutation, each seeing the ones before
 * it; then checks what must hold of the whole. Throws a DomainError, and has changed nothing, when any part is refused.
 */
export function stage(view: TenantView, revision: number, transaction: Transaction): Staged {
  const draft = new TenantDraft(view);
  const changes: Change[] = [];
  const outcomes: (number | ChangeSubject)[] = [];
  for (const mutation of transaction.mutations) {
    if (draft.tenant === undefined && mutation.kind !== 'create_tenant') throw tenantNotFound(transaction.tenant);
    const next = revision + changes.length + 1;
    const evaluation = evaluate(draft, mutation, { revision: next, actor: transaction.actor });
    if (evaluation.kind === 'unchanged') {
      outcomes.push(evaluation.subject);
      continue;
    }
    const { tenant, commitId, actor, correlationId } = transaction;
    const { action, subject } = evaluation.intent;
    const change: Change = {
      tenant,
      revision: next,
      commitRevision: 0,
      commitId,
      action,
      actor,
      correlationId,
      commitTimeMs: 0,
      subject,
    };
    draft.apply(change);
    outcomes.push(changes.length);
    changes.push(change);
  }
  assertPoliciesHold(draft, changes);
  const commitRevision = revision + changes.length;
  const sealed = changes.map((change) => ({ ...change, commitRevision }));
  return {
    changes: sealed,
    outcomes: outcomes.map((outcome) => (typeof outcome === 'number' ? (sealed[outcome] as Change) : outcome)),
  };
}

/** The error for a tenant that does not exist. */
export function tenantNotFound(tenant: string): DomainError {
  return new DomainError('TENANT_NOT_FOUND', `there is no tenant ${tenant}`, {
    metadata: { tenant },
    resource: { type: 'Tenant', name: tenant, tenant },
  });
}

/** Every version that a touched policy names has a route that is not deleted. */
function assertPoliciesHold(draft: TenantDraft, changes: readonly Change[]): void {
  // By service and environment: whether the policy itself was changed, or only routes that it may need.
  const touched = new Map<string, { readonly key: TrafficPolicyKey; readonly policyChanged: boolean }>();
  for (const { subject } of changes) {
    if (subject.kind === 'tenant') continue;
    const key = subject.kind === 'route' ? subject.after.key : subject.key;
    const name = `${key.service}/${key.environment}`;
    const policyChanged = subject.kind === 'traffic_policy' || touched.get(name)?.policyChanged === true;
    touched.set(name, { key, policyChanged });
  }
  for (const { key, policyChanged } of touched.values()) {
    const group = draft.find(key.service, key.environment);
    if (group?.policy === undefined) continue;
    for (const version of versionsNamedBy(group.policy)) {
      const route = group.routes.get(version);
      if (route !== undefined && route.lifecycle.state !== 'DELETED') continue;
      throw policyBroken(trafficPolicyName(group.policy.key), version, policyChanged);
    }
  }
}

function policyBroken(policy: string, version: string, policyChanged: boolean): DomainError {
  const options = { metadata: { policy, version } };
  return policyChanged
    ? new DomainError(
        'VERSION_NOT_FOUND',
        `the traffic policy of ${policy} names version ${version}, which has no route`,
        options,
      )
    : new DomainError('VERSION_IN_USE', `the traffic policy of ${policy} still names version ${version}`, options);
}
