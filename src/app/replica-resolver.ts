import { DomainError } from '../domain/domain-error.ts';
import {
  isPast,
  revisionNotReached,
  stalenessExceeded,
  type At,
  type Consistency,
  type Freshness,
  type FreshnessSource,
} from '../domain/freshness.ts';
import { resolve, type Lookup, type Resolution } from '../domain/resolve.ts';
import { tenantNotFound } from '../domain/transaction.ts';
import type { Clock } from '../platform/clock.ts';
import { untilHolds } from '../platform/condition.ts';
import type { ChangeHistory } from '../ports/change-history.ts';
import { resolveAt } from './history-lookup.ts';
import type { Replica } from './replica.ts';
import type { TenantReplica } from './tenant-replica.ts';

/** How long a lookup without a deadline waits for a revision, ms. */
const defaultWaitMs = 5_000;

export type ReplicaResolverOptions = {
  readonly replica: Replica;
  readonly history: ChangeHistory;
  readonly clock: Clock;
  readonly random: () => number;
};

/** Lookups on the control plane: from the replica's memory, confirmed with Postgres where the caller asks for it; of the past from the log. */
export class ReplicaResolver {
  readonly #options: ReplicaResolverOptions;

  constructor(options: ReplicaResolverOptions) {
    this.#options = options;
  }

  async resolve(
    lookup: Lookup,
    consistency: Consistency,
    context: { readonly signal: AbortSignal; readonly deadlineMs: number | undefined },
  ): Promise<{ resolution: Resolution; freshness: Freshness }> {
    if (isPast(consistency))
      return resolveAt(this.#options.history, lookup, { at: consistency, random: this.#options.random });
    const { tenant, source } = await this.#tenantFor(lookup, consistency, context);
    const resolution = resolve(tenant.state, lookup, this.#options.random);
    const { revision } = tenant.position;
    if (source === 'CONTROL_PLANE')
      return { resolution, freshness: { source, revision, stalenessMs: 0, stale: false } };
    const stale = this.#options.replica.isCutOff;
    return { resolution, freshness: { source, revision, stalenessMs: tenant.stalenessMs(), stale } };
  }

  async #tenantFor(
    lookup: Lookup,
    consistency: Exclude<Consistency, At>,
    context: { readonly signal: AbortSignal; readonly deadlineMs: number | undefined },
  ): Promise<{ tenant: TenantReplica; source: FreshnessSource }> {
    const held = this.#options.replica.find(lookup.tenant);
    switch (consistency.kind) {
      case 'eventual':
        if (held !== undefined) return { tenant: held, source: 'SNAPSHOT' };
        break;
      case 'max_staleness':
        if (held === undefined) break;
        return this.#noOlderThan(consistency.stalenessMsMax, held);
      case 'min_revision':
        return { tenant: await this.#atRevision(lookup, consistency.revision, context), source: 'SNAPSHOT' };
      case 'strong':
        break;
    }
    return { tenant: await this.#strong(lookup), source: 'CONTROL_PLANE' };
  }

  async #noOlderThan(
    stalenessMsMax: number,
    held: TenantReplica,
  ): Promise<{ tenant: TenantReplica; source: FreshnessSource }> {
    if (held.stalenessMs() <= stalenessMsMax) return { tenant: held, source: 'SNAPSHOT' };
    try {
      return { tenant: await this.#strong(held), source: 'CONTROL_PLANE' };
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      throw stalenessExceeded(held.stalenessMs(), stalenessMsMax, error);
    }
  }

  async #strong(lookup: Pick<Lookup, 'tenant'>): Promise<TenantReplica> {
    const tenant = await this.#options.replica.findStrong(lookup.tenant);
    if (tenant === undefined) throw tenantNotFound(lookup.tenant);
    return tenant;
  }

  async #atRevision(
    lookup: Lookup,
    revision: number,
    context: { readonly signal: AbortSignal; readonly deadlineMs: number | undefined },
  ): Promise<TenantReplica> {
    const held = this.#options.replica.find(lookup.tenant);
    if (held !== undefined && held.position.revision >= revision) return held;
    const tenant = await this.#strong(lookup).catch((error: unknown) => {
      // The database may be back before the caller's deadline.
      if (held === undefined || !isUnavailable(error)) throw error;
      return held;
    });
    const { clock } = this.#options;
    const timeoutMs =
      context.deadlineMs === undefined
        ? defaultWaitMs
        : Math.max(0, context.deadlineMs - clock.wallMs() - answerReserveMs);
    const reached = await untilHolds({
      holds: () => tenant.position.revision >= revision,
      subscribe: (listener) => tenant.subscribe(listener),
      signal: context.signal,
      timeoutMs,
      clock,
    });
    if (!reached) throw revisionNotReached(revision, tenant.position.revision);
    return tenant;
  }
}

function isUnavailable(error: unknown): boolean {
  return error instanceof DomainError && error.reason === 'DATABASE_UNAVAILABLE';
}

/** Left of the deadline to get the refusal, which says more than DEADLINE_EXCEEDED, to the caller, ms. */
const answerReserveMs = 50;
