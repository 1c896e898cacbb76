import type { Tenant, TenantQuotas, TenantState as State } from '../domain/tenant.ts';
import {
  TenantState,
  type Tenant as WireTenant,
  type TenantQuotas as WireQuotas,
} from '../gen/trafficmanager/v1/tenant.ts';

const stateToWire = {
  ACTIVE: TenantState.TENANT_STATE_ACTIVE,
  DELETED: TenantState.TENANT_STATE_DELETED,
} as const satisfies Record<State, TenantState>;

export function tenantToWire(tenant: Tenant): WireTenant {
  return {
    tenant: tenant.tenant,
    displayName: tenant.displayName,
    revision: BigInt(tenant.revision),
    createTime: new Date(tenant.createTimeMs),
    quotas: { ...tenant.quotas },
    state: stateToWire[tenant.state],
    etag: tenant.etag,
  };
}

/** The quotas that are set; the others keep their defaults. */
export function quotasFromWire(quotas: WireQuotas | undefined): Partial<TenantQuotas> {
  const { routesMax, watchersMax, writesPerSecond, lookupsPerSecond } = quotas ?? {};
  return {
    ...(routesMax === undefined ? {} : { routesMax }),
    ...(watchersMax === undefined ? {} : { watchersMax }),
    ...(writesPerSecond === undefined ? {} : { writesPerSecond }),
    ...(lookupsPerSecond === undefined ? {} : { lookupsPerSecond }),
  };
}

/** A tenant as another process sent it: when it itself last changed is the control plane's to know. */
export function tenantFromWire(wire: WireTenant): Tenant {
  return {
    tenant: wire.tenant,
    displayName: wire.displayName,
    quotas: quotasFromWire(wire.quotas),
    state: wire.state === TenantState.TENANT_STATE_DELETED ? 'DELETED' : 'ACTIVE',
    etag: wire.etag,
    revision: Number(wire.revision),
    ownRevision: 0,
    createTimeMs: wire.createTime?.getTime() ?? 0,
  };
}
