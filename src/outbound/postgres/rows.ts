import type { Change, ChangeAction, ChangeSubject } from '../../domain/change.ts';
import type { Endpoint } from '../../domain/endpoint.ts';
import type { Lifecycle, LiveState, Route, RouteKey } from '../../domain/route.ts';
import type { Tenant, TenantQuotas, TenantState } from '../../domain/tenant.ts';
import {
  trafficPolicyValueOf,
  type TrafficPolicy,
  type TrafficPolicyKey,
  type TrafficPolicyValue,
} from '../../domain/traffic-policy.ts';

/** Selects a timestamp as whole milliseconds since the epoch. */
export function milliseconds(column: string): string {
  return `(extract(epoch FROM ${column}) * 1000)::bigint`;
}

type ProvenanceColumns = {
  revision: number;
  etag: string;
  create_time: number;
  update_time: number;
  updated_by: string;
};

export type RouteRow = ProvenanceColumns & {
  tenant: string;
  service: string;
  environment: string;
  version: string;
  state: 'ACTIVE' | 'INACTIVE' | 'DELETED';
  deleted_from: LiveState | null;
  endpoints: Endpoint[];
  labels: Record<string, string>;
};

export const routeColumns = `r.tenant, r.service, r.environment, r.version, r.state, r.deleted_from, r.endpoints, r.labels, r.revision, r.etag,
  ${milliseconds('r.create_time')} AS create_time, ${milliseconds('r.update_time')} AS update_time, r.updated_by`;

export function routeFromRow(row: RouteRow): Route {
  const { tenant, service, environment, version } = row;
  return {
    key: { tenant, service, environment, version },
    endpoints: row.endpoints,
    labels: row.labels,
    lifecycle: lifecycleFrom(row.state, row.deleted_from),
    ...provenanceFromRow(row),
  };
}

function lifecycleFrom(state: 'ACTIVE' | 'INACTIVE' | 'DELETED', deletedFrom: LiveState | null): Lifecycle {
  return state === 'DELETED' ? { state, deletedFrom: deletedFrom ?? 'INACTIVE' } : { state };
}

function provenanceFromRow(row: ProvenanceColumns) {
  return {
    revision: row.revision,
    etag: row.etag,
    createTimeMs: row.create_time,
    updateTimeMs: row.update_time,
    updatedBy: row.updated_by,
  };
}

export type PolicyRow = ProvenanceColumns & {
  tenant: string;
  service: string;
  environment: string;
  value: StoredPolicyValue;
};

export const policyColumns = `p.tenant, p.service, p.environment, p.value, p.revision, p.etag,
  ${milliseconds('p.create_time')} AS create_time, ${milliseconds('p.update_time')} AS update_time, p.updated_by`;

export function policyFromRow(row: PolicyRow): TrafficPolicy {
  const { tenant, service, environment } = row;
  return { key: { tenant, service, environment }, ...storedValue(row.value), ...provenanceFromRow(row) };
}

/** A value as it was stored. Policies from before there were rules have none. */
type StoredPolicyValue = Omit<TrafficPolicyValue, 'rules'> & Partial<Pick<TrafficPolicyValue, 'rules'>>;

function storedValue(value: StoredPolicyValue): TrafficPolicyValue {
  return { rules: [], ...value };
}

export type TenantRow = {
  tenant: string;
  display_name: string;
  quotas: Partial<TenantQuotas>;
  state: TenantState;
  etag: string;
  revision: number;
  own_revision: number;
  head_commit_id: string;
  create_time: number;
};

export const tenantColumns = `t.tenant, t.display_name, t.quotas, t.state, t.etag, t.revision, t.own_revision, t.head_commit_id,
  ${milliseconds('t.create_time')} AS create_time`;

export function tenantFromRow(row: TenantRow): Tenant {
  return {
    tenant: row.tenant,
    displayName: row.display_name,
    quotas: row.quotas,
    state: row.state,
    etag: row.etag,
    revision: row.revision,
    ownRevision: row.own_revision,
    createTimeMs: row.create_time,
  };
}

/** A resource as the change log keeps it. Times that are the commit's own are left out: only the database knows them. */
export type RouteDocument = {
  state: 'ACTIVE' | 'INACTIVE' | 'DELETED';
  deleted_from: LiveState | null;
  endpoints: readonly Endpoint[];
  labels: Readonly<Record<string, string>>;
} & ProvenanceDocument;
export type PolicyDocument = { value: StoredPolicyValue } & ProvenanceDocument;
type TenantDocument = {
  display_name: string;
  quotas: Partial<TenantQuotas>;
  state: TenantState;
  etag: string;
  own_revision: number;
  create_time_ms?: number;
};
type ProvenanceDocument = {
  revision: number;
  etag: string;
  updated_by: string;
  create_time_ms?: number;
  update_time_ms?: number;
};

export type ChangeRow = {
  tenant: string;
  revision: number;
  commit_revision: number;
  commit_id: string;
  commit_time: number;
  action: ChangeAction;
  actor: string;
  correlation_id: string;
  service: string | null;
  environment: string | null;
  version: string | null;
} & (
  | { kind: 'route'; before: RouteDocument | null; after: RouteDocument }
  | { kind: 'traffic_policy'; before: PolicyDocument | null; after: PolicyDocument | null }
  | { kind: 'tenant'; before: TenantDocument | null; after: TenantDocument }
);

export const changeColumns = `c.tenant, c.revision, c.commit_revision, c.commit_id, ${milliseconds('c.commit_time')} AS commit_time, c.action, c.actor,
  c.correlation_id, c.kind, c.service, c.environment, c.version, c.before, c.after`;

export function changeFromRow(row: ChangeRow): Change {
  return {
    tenant: row.tenant,
    revision: row.revision,
    commitRevision: row.commit_revision,
    commitId: row.commit_id,
    action: row.action,
    actor: row.actor,
    correlationId: row.correlation_id,
    commitTimeMs: row.commit_time,
    subject: subjectFromRow(row),
  };
}

function subjectFromRow(row: ChangeRow): ChangeSubject {
  const { tenant, service, environment, version, commit_time: commitTimeMs } = row;
  switch (row.kind) {
    case 'route': {
      const key = { tenant, service: service ?? '', environment: environment ?? '', version: version ?? '' };
      const before = row.before === null ? undefined : routeFromDocument(key, row.before, commitTimeMs);
      return { kind: 'route', before, after: routeFromDocument(key, row.after, commitTimeMs) };
    }
    case 'traffic_policy': {
      const key = { tenant, service: service ?? '', environment: environment ?? '' };
      const before = row.before === null ? undefined : policyFromDocument(key, row.before, commitTimeMs);
      return {
        kind: 'traffic_policy',
        key,
        before,
        after: row.after === null ? undefined : policyFromDocument(key, row.after, commitTimeMs),
      };
    }
    case 'tenant': {
      const resource = (document: TenantDocument, revision: number): Tenant => ({
        tenant,
        displayName: document.display_name,
        quotas: document.quotas,
        state: document.state,
        etag: document.etag,
        revision,
        ownRevision: document.own_revision,
        createTimeMs: document.create_time_ms ?? commitTimeMs,
      });
      return {
        kind: 'tenant',
        before: row.before === null ? undefined : resource(row.before, row.revision - 1),
        after: resource(row.after, row.revision),
      };
    }
  }
}

export function routeFromDocument(key: RouteKey, document: RouteDocument, commitTimeMs: number): Route {
  return {
    key,
    endpoints: document.endpoints,
    labels: document.labels,
    lifecycle: lifecycleFrom(document.state, document.deleted_from),
    ...provenanceFromDocument(document, commitTimeMs),
  };
}

export function policyFromDocument(
  key: TrafficPolicyKey,
  document: PolicyDocument,
  commitTimeMs: number,
): TrafficPolicy {
  return { key, ...storedValue(document.value), ...provenanceFromDocument(document, commitTimeMs) };
}

function provenanceFromDocument(document: ProvenanceDocument, commitTimeMs: number) {
  return {
    revision: document.revision,
    etag: document.etag,
    createTimeMs: document.create_time_ms ?? commitTimeMs,
    updateTimeMs: document.update_time_ms ?? commitTimeMs,
    updatedBy: document.updated_by,
  };
}

type WithProvenance = { revision: number; etag: string; createTimeMs: number; updateTimeMs: number; updatedBy: string };

/** A time of 0 is the commit's own, which the database fills in. */
function provenanceDocument(resource: WithProvenance): ProvenanceDocument {
  return {
    revision: resource.revision,
    etag: resource.etag,
    updated_by: resource.updatedBy,
    ...(resource.createTimeMs === 0 ? {} : { create_time_ms: resource.createTimeMs }),
    ...(resource.updateTimeMs === 0 ? {} : { update_time_ms: resource.updateTimeMs }),
  };
}

function routeDocument(route: Route): RouteDocument {
  const { lifecycle, endpoints, labels } = route;
  const deletedFrom = lifecycle.state === 'DELETED' ? lifecycle.deletedFrom : null;
  return { state: lifecycle.state, deleted_from: deletedFrom, endpoints, labels, ...provenanceDocument(route) };
}

function policyDocument(policy: TrafficPolicy): PolicyDocument {
  return { value: trafficPolicyValueOf(policy), ...provenanceDocument(policy) };
}

export function tenantDocument(tenant: Tenant): TenantDocument {
  return {
    display_name: tenant.displayName,
    quotas: tenant.quotas,
    state: tenant.state,
    etag: tenant.etag,
    own_revision: tenant.ownRevision,
    ...(tenant.createTimeMs === 0 ? {} : { create_time_ms: tenant.createTimeMs }),
  };
}

/** A change as the commit statement's JSON takes it. `latest`: no later change of the same commit has the same subject. */
export function changeDocument(change: Change, latest: boolean): Record<string, unknown> {
  const { subject } = change;
  return {
    revision: change.revision,
    commit_revision: change.commitRevision,
    commit_id: change.commitId,
    action: change.action,
    actor: change.actor,
    correlation_id: change.correlationId,
    latest,
    kind: subject.kind,
    ...subjectColumns(subject),
  };
}

function subjectColumns(subject: ChangeSubject): Record<string, unknown> {
  switch (subject.kind) {
    case 'route': {
      const { service, environment, version } = subject.after.key;
      return {
        service,
        environment,
        version,
        before: subject.before && routeDocument(subject.before),
        after: routeDocument(subject.after),
      };
    }
    case 'traffic_policy': {
      const { service, environment } = subject.key;
      return {
        service,
        environment,
        before: subject.before && policyDocument(subject.before),
        after: subject.after && policyDocument(subject.after),
      };
    }
    case 'tenant':
      return { before: subject.before && tenantDocument(subject.before), after: tenantDocument(subject.after) };
  }
}
