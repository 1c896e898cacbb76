import type { ChangeAction } from './change.ts';
import { DomainError } from './domain-error.ts';
import { checkEtag, type Authorship, type Evaluation, type MutationOf as Of } from './mutation.ts';
import { etagOf } from './route.ts';
import type { WritableView } from './tenant-view.ts';
import { canonicalTenantValue, type Tenant, type TenantState, type TenantValue } from './tenant.ts';

export function createTenant(
  view: WritableView,
  { tenant, value }: Of<'create_tenant'>,
  author: Authorship,
): Evaluation {
  const before = view.tenant;
  if (before === undefined) return tenantChange('CREATED', { before, tenant, value, state: 'ACTIVE', author });
  if (before.state === 'DELETED') throw tenantDeleted(tenant);
  if (canonicalTenantValue(before, 'ACTIVE') === canonicalTenantValue(value, 'ACTIVE')) return unchangedTenant(before);
  throw new DomainError('ALREADY_EXISTS', `tenant ${tenant} exists and differs`, {
    metadata: { tenant },
    resource: { type: 'Tenant', name: tenant, tenant },
  });
}

export function updateTenant(view: WritableView, mutation: Of<'update_tenant'>, author: Authorship): Evaluation {
  const before = existingTenant(view, mutation);
  if (before.state === 'DELETED') throw tenantDeleted(mutation.tenant);
  const { displayName = before.displayName, quotas = before.quotas } = mutation.value;
  return changeTenant('UPDATED', before, { value: { displayName, quotas }, state: before.state }, author);
}

export function setTenantState(
  view: WritableView,
  mutation: { readonly tenant: string; readonly etag: string; readonly state: TenantState },
  author: Authorship,
): Evaluation {
  const before = existingTenant(view, mutation);
  const action = mutation.state === 'DELETED' ? 'DELETED' : 'UNDELETED';
  return changeTenant(action, before, { value: before, state: mutation.state }, author);
}

/** The error for a write to a tenant that is out of use. */
export function tenantDeleted(tenant: string): DomainError {
  return new DomainError('TENANT_DELETED', `tenant ${tenant} is deleted; undelete it first`, {
    metadata: { tenant },
    resource: { type: 'Tenant', name: tenant, tenant },
  });
}

function existingTenant(view: WritableView, { tenant, etag }: { tenant: string; etag: string }): Tenant {
  // The caller of evaluate has seen to it that there is one.
  if (view.tenant === undefined) throw new Error(`tenant ${tenant} is not there`);
  checkEtag(tenant, { wanted: etag, found: view.tenant.etag });
  return view.tenant;
}

function unchangedTenant(tenant: Tenant): Evaluation {
  return { kind: 'unchanged', subject: { kind: 'tenant', before: tenant, after: tenant } };
}

function changeTenant(
  action: ChangeAction,
  before: Tenant,
  to: { value: TenantValue; state: TenantState },
  author: Authorship,
): Evaluation {
  if (canonicalTenantValue(before, before.state) === canonicalTenantValue(to.value, to.state))
    return unchangedTenant(before);
  return tenantChange(action, { before, tenant: before.tenant, ...to, author });
}

type TenantChangeOptions = {
  readonly before: Tenant | undefined;
  readonly tenant: string;
  readonly value: TenantValue;
  readonly state: TenantState;
  readonly author: Authorship;
};

function tenantChange(action: ChangeAction, { before, tenant, value, state, author }: TenantChangeOptions): Evaluation {
  const after: Tenant = {
    tenant,
    displayName: value.displayName,
    quotas: value.quotas,
    state,
    etag: etagOf(canonicalTenantValue(value, state), author.revision),
    revision: author.revision,
    ownRevision: author.revision,
    createTimeMs: before?.createTimeMs ?? 0,
  };
  return { kind: 'change', intent: { action, subject: { kind: 'tenant', before, after } } };
}
