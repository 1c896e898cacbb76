import { tenantNotFound } from '../../domain/transaction.ts';
import type { ConfigurationStore } from '../../ports/configuration-store.ts';

/** Throws TENANT_NOT_FOUND unless there is such a tenant, and it is not deleted. */
export async function assertTenantInUse(store: ConfigurationStore, tenant: string): Promise<void> {
  if ((await store.getTenant(tenant))?.state !== 'ACTIVE') throw tenantNotFound(tenant);
}
