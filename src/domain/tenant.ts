import { limits } from './limits.ts';
import type { Violations } from './validation.ts';

/** What a mutation can change about a tenant. */
export type TenantValue = { readonly displayName: string };

/** A tenant as committed. */
export type Tenant = TenantValue & {
  readonly tenant: string;
  /** The revision of its newest change. */
  readonly revision: number;
  /** Database clock, milliseconds since the epoch. */
  readonly createTimeMs: number;
};

/** Adds everything that is wrong with what a caller wants a tenant to be. */
export function validateTenant(violations: Violations, field: string, tenant: string, value: TenantValue): void {
  violations.name(`${field}.tenant`, tenant);
  violations.text(`${field}.display_name`, value.displayName, limits.displayNameLengthMax);
}
