import { DomainError } from '../domain/domain-error.ts';
import { quotasOf, type TenantQuotas } from '../domain/tenant.ts';
import type { RateLimits } from '../platform/rate-limits.ts';
import { replicaLimits } from './limits.ts';
import type { Replica } from './replica.ts';

/** Lets a tenant write and ask as fast as its quotas allow, so that no tenant takes this replica from the others. */
export class Admission {
  readonly #replica: Replica;
  readonly #rateLimits: RateLimits;

  constructor(replica: Replica, rateLimits: RateLimits) {
    this.#replica = replica;
    this.#rateLimits = rateLimits;
  }

  /** Throws RATE_LIMITED when the tenant writes too fast. */
  admitWrites(tenant: string, count: number): Promise<void> {
    return this.#admit(tenant, count, { kind: 'writes', quota: 'writesPerSecond' });
  }

  /** Throws RATE_LIMITED when the tenant asks too fast. */
  admitLookups(tenant: string, count: number): Promise<void> {
    return this.#admit(tenant, count, { kind: 'lookups', quota: 'lookupsPerSecond' });
  }

  /** Throws RATE_LIMITED when sidecars report faster than is good for everybody else: they keep what they counted, and repeat it. */
  async admitUsageReport(): Promise<void> {
    const perSecond = replicaLimits.usageReportsPerSecond;
    const retryDelayMs = await this.#rateLimits.consume('usage reports', { count: 1, perSecond });
    if (retryDelayMs === undefined) return;
    throw new DomainError('RATE_LIMITED', `sidecars may report usage ${perSecond} times a second here`, {
      metadata: { quota: 'usage reports', per_second: String(perSecond) },
      retryDelayMs,
    });
  }

  async #admit(
    tenant: string,
    count: number,
    { kind, quota }: { kind: string; quota: keyof TenantQuotas },
  ): Promise<void> {
    const known = this.#replica.find(tenant)?.state.tenant;
    // Strangers share one budget: made-up names must not have one each.
    const key = known === undefined ? `${kind} of strangers` : `${kind} of ${tenant}`;
    const perSecond = quotasOf(known ?? { quotas: {} })[quota];
    const retryDelayMs = await this.#rateLimits.consume(key, { count, perSecond });
    if (retryDelayMs === undefined) return;
    throw new DomainError('RATE_LIMITED', `tenant ${tenant} may have ${perSecond} ${kind} a second here`, {
      metadata: { tenant, quota: kind, per_second: String(perSecond) },
      retryDelayMs,
    });
  }
}
