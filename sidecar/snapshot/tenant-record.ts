import type { Tenant } from '../../src/domain/tenant.ts';

/** What a sidecar knows of a tenant itself: that it is there. */
export function tenantRecord(tenant: string, state: Tenant['state'], revision: number): Tenant {
  return { tenant, displayName: '', quotas: {}, state, etag: '', ownRevision: 0, revision, createTimeMs: 0 };
}
