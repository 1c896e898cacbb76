import type { Change, ChangeSubject } from './change.ts';
import { DomainError } from './domain-error.ts';
import { evaluate } from './evaluate.ts';
import { tenantDeleted } from './mutate-tenant.ts';
import type { Mutation } from './mutation.ts';
import { isActive } from './route-counts.ts';
import { TenantDraft, type WritableView } from './tenant-view.ts';
import { quotasOf } from './tenant.ts';
import { trafficPolicyName, versionsNamedBy, type TrafficPolicyKey } from './traffic-policy.ts';

/** How much of a tenant's routes one transaction may take out of use. */
export type ShrinkProtection =
  | { readonly kind: 'forced' }
  | {
      readonly kind: 'limited';
      /** Of the ACTIVE routes, percent. */
      readonly sharePercentMax: number;
      /** Always allowed, so that small tenants can be worked with. */
      readonly routesMin: number;
    };

/** Mutations of one tenant that commit together or not at all. */
export type Transaction = {
  readonly tenant: string;
  readonly mutations: readonly Mutation[];
  /** Whether the mutations are a list that the caller made: what is refused then says which of them it was. */
  readonly isBatch: boolean;
  /** Random; the same for every attempt to commit it, so that an attempt whose outcome was lost is recognised. */
  readonly commitId: string;
  readonly actor: string;
  readonly correlationId: string;
  readonly shrinkProtection: ShrinkProtection;
  /** Set when the mutations restore the tenant as it was: the revision that they were worked out on. */
  readonly restoresFrom: number | undefined;
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
export function stage(view: WritableView, revision: number, transaction: Transaction): Staged {
  const draft = new TenantDraft(view);
  const changes: Change[] = [];
  const outcomes: (number | ChangeSubject)[] = [];
  for (const index of transaction.mutations.keys()) {
    const next = revision + changes.length + 1;
    const evaluation = evaluateAt(index, draft, transaction, next);
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
  assertQuota(view, draft);
  assertNotShrunk(view, draft, changes, transaction.shrinkProtection);
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

const ofTenants: ReadonlySet<Mutation['kind']> = new Set([
  'create_tenant',
  'update_tenant',
  'delete_tenant',
  'undelete_tenant',
]);

/** Evaluates one mutation of a transaction; what is refused in a batch says which one it was, also in a batch of one. */
function evaluateAt(
  index: number,
  draft: TenantDraft,
  { tenant, mutations, isBatch, actor }: Transaction,
  revision: number,
): ReturnType<typeof evaluate> {
  const mutation = mutations[index] as Mutation;
  try {
    if (draft.tenant === undefined && mutation.kind !== 'create_tenant') throw tenantNotFound(tenant);
    if (draft.tenant?.state === 'DELETED' && !ofTenants.has(mutation.kind)) throw tenantDeleted(tenant);
    return evaluate(draft, mutation, { revision, actor });
  } catch (error) {
    throw isBatch && error instanceof DomainError ? error.withMetadata({ index: String(index) }) : error;
  }
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

/** More routes only within the tenant's quota; a tenant over a quota that was lowered can still do everything else. */
function assertQuota(base: WritableView, draft: WritableView): void {
  if (draft.tenant === undefined || draft.routeCounts.kept <= base.routeCounts.kept) return;
  const { routesMax } = quotasOf(draft.tenant);
  if (draft.routeCounts.kept <= routesMax) return;
  const { tenant } = draft.tenant;
  throw new DomainError(
    'QUOTA_EXCEEDED',
    `tenant ${tenant} may have ${routesMax} routes; this would make ${draft.routeCounts.kept}`,
    {
      metadata: { tenant, quota: 'routes_max', limit: String(routesMax), wanted: String(draft.routeCounts.kept) },
    },
  );
}

function assertNotShrunk(
  base: WritableView,
  draft: WritableView,
  changes: readonly Change[],
  protection: ShrinkProtection,
): void {
  if (protection.kind === 'forced') return;
  const keys = new Map<string, { service: string; environment: string; version: string }>();
  for (const { subject } of changes) {
    if (subject.kind !== 'route') continue;
    const { service, environment, version } = subject.after.key;
    keys.set(`${service}/${environment}/${version}`, subject.after.key);
  }
  let lost = 0;
  for (const { service, environment, version } of keys.values()) {
    const before = base.find(service, environment)?.routes.get(version);
    if (isActive(before) && !isActive(draft.find(service, environment)?.routes.get(version))) lost++;
  }
  const allowed = Math.max(
    protection.routesMin,
    Math.floor((base.routeCounts.active * protection.sharePercentMax) / 100),
  );
  if (lost <= allowed) return;
  throw new DomainError(
    'SHRINK_REFUSED',
    `this would take ${lost} of ${base.routeCounts.active} active routes out of use, more than ${allowed}; force it if that is meant`,
    { metadata: { lost: String(lost), active: String(base.routeCounts.active), allowed: String(allowed) } },
  );
}
