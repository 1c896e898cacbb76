import type { Violations } from './validation.ts';
import { limits } from './limits.ts';

/** Whether a tenant is in use. A deleted one keeps everything, and answers and takes nothing. */
export type TenantState = 'ACTIVE' | 'DELETED';

/** What a tenant may use. Rates and watchers are of one replica. */
export type TenantQuotas = {
  /** Routes that are not deleted. */
  readonly routesMax: number;
  readonly watchersMax: number;
  readonly writesPerSecond: number;
  readonly lookupsPerSecond: number;
};

/** What a mutation can change about a tenant. */
export type TenantValue = {
  readonly displayName: string;
  /** What is not set has its default, also when that changes. */
  readonly quotas: Partial<TenantQuotas>;
};

/** A tenant as committed. */
export type Tenant = TenantValue & {
  readonly tenant: string;
  readonly state: TenantState;
  /** Changes with every change of the tenant itself, not with those of its routes. */
  readonly etag: string;
  /** The revision of the newest change, whatever it was of. */
  readonly revision: number;
  /** The revision of the tenant's own last change. */
  readonly ownRevision: number;
  /** Database clock, milliseconds since the epoch. */
  readonly createTimeMs: number;
};

/** The quotas of a tenant that has none of its own. */
const defaultQuotas: TenantQuotas = {
  routesMax: 100_000,
  watchersMax: 20_000,
  writesPerSecond: 10_000,
  lookupsPerSecond: 100_000,
};

const quotaBounds: Readonly<Record<keyof TenantQuotas, { readonly field: string; readonly max: number }>> = {
  routesMax: { field: 'routes_max', max: 10_000_000 },
  watchersMax: { field: 'watchers_max', max: 1_000_000 },
  writesPerSecond: { field: 'writes_per_second', max: 1_000_000 },
  lookupsPerSecond: { field: 'lookups_per_second', max: 10_000_000 },
};

/** The quotas in force. */
export function quotasOf(tenant: Pick<Tenant, 'quotas'>): TenantQuotas {
  return { ...defaultQuotas, ...tenant.quotas };
}

/** One text for equal values. */
export function canonicalTenantValue({ displayName, quotas }: TenantValue, state: TenantState): string {
  const { routesMax, watchersMax, writesPerSecond, lookupsPerSecond } = quotas;
  return JSON.stringify([state, displayName, routesMax, watchersMax, writesPerSecond, lookupsPerSecond]);
}

/** Adds everything that is wrong with what a caller wants a tenant to be. */
export function validateTenant(violations: Violations, field: string, tenant: string, value: TenantValue): void {
  violations.name(`${field}.tenant`, tenant);
  violations.text(`${field}.display_name`, value.displayName, limits.displayNameLengthMax);
  for (const name of Object.keys(quotaBounds) as (keyof TenantQuotas)[]) {
    const quota = value.quotas[name];
    if (quota !== undefined)
      violations.integer(`${field}.quotas.${quotaBounds[name].field}`, quota, { min: 0, max: quotaBounds[name].max });
  }
}
