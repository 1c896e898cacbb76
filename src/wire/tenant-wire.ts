import type { Tenant } from '../domain/tenant.ts';
import type { Tenant as WireTenant } from '../gen/trafficmanager/v1/tenant.ts';

export function tenantToWire(tenant: Tenant): WireTenant {
  return {
    tenant: tenant.tenant,
    displayName: tenant.displayName,
    revision: BigInt(tenant.revision),
    createTime: new Date(tenant.createTimeMs),
  };
}

export function tenantFromWire(wire: WireTenant): Tenant {
  return {
    tenant: wire.tenant,
    displayName: wire.displayName,
    revision: Number(wire.revision),
    createTimeMs: wire.createTime?.getTime() ?? 0,
  };
}
