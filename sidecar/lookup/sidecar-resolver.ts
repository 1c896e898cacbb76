import { DomainError } from '../../src/domain/domain-error.ts';
import { revisionNotReached, stalenessExceeded, type Consistency, type Freshness } from '../../src/domain/freshness.ts';
import { resolve, type Lookup, type Resolution } from '../../src/domain/resolve.ts';
import { tenantNotFound } from '../../src/domain/transaction.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { untilHolds } from '../../src/platform/condition.ts';
import type { CallContext } from '../../src/platform/grpc/handlers.ts';
import type { Resolver } from '../../src/serving/resolver-service.ts';
import { sidecarLimits } from '../limits.ts';
import type { Subscriptions } from '../sync/subscriptions.ts';
import type { TenantSync } from '../sync/tenant-sync.ts';
import type { AskControlPlane } from './ask-control-plane.ts';

type Answer = { readonly resolution: Resolution; readonly freshness: Freshness };

export type SidecarResolverOptions = {
  readonly subscriptions: Subscriptions;
  readonly askControlPlane: AskControlPlane;
  readonly clock: Clock;
  readonly random: () => number;
};

/** Lookups beside the app: from memory whenever memory may answer, else from the control plane. */
export class SidecarResolver implements Resolver {
  readonly #options: SidecarResolverOptions;

  constructor(options: SidecarResolverOptions) {
    this.#options = options;
  }

  async resolve(lookup: Lookup, consistency: Consistency, context: CallContext): Promise<Answer> {
    const { subscriptions, askControlPlane } = this.#options;
    if (consistency.kind === 'strong') return askControlPlane(lookup, consistency, context);
    const subscription = subscriptions.find(lookup.tenant);
    if (subscription.kind === 'absent' && consistency.kind === 'eventual') throw tenantNotFound(lookup.tenant);
    if (subscription.kind !== 'followed') return askControlPlane(lookup, consistency, context);
    const { sync } = subscription;
    if (sync.memory.tenant === undefined) await this.#untilHeld(sync, lookup, context);
    switch (consistency.kind) {
      case 'eventual':
        break;
      case 'max_staleness':
        if (sync.stalenessMs() > consistency.stalenessMsMax)
          return this.#askFresh(sync, { lookup, consistency, context });
        break;
      case 'min_revision':
        if (!(await this.#reaches(sync, consistency.revision, context)))
          return this.#askAtRevision(sync, { lookup, consistency, context });
        break;
    }
    const known = sync.memory.isComplete || sync.memory.find(lookup.service, lookup.environment) !== undefined;
    if (!known) return askControlPlane(lookup, consistency, context);
    return this.#fromMemory(sync, lookup);
  }

  #fromMemory(sync: TenantSync, lookup: Lookup): Answer {
    const resolution = resolve(sync.memory, lookup, this.#options.random);
    const { revision } = sync.memory.position;
    return {
      resolution,
      freshness: { source: 'SNAPSHOT', revision, stalenessMs: sync.stalenessMs(), stale: sync.state.kind !== 'live' },
    };
  }

  /** Waits for the first snapshot of a tenant. */
  async #untilHeld(sync: TenantSync, lookup: Lookup, context: CallContext): Promise<void> {
    await this.#wait(
      sync,
      () => sync.memory.tenant !== undefined || sync.state.kind === 'absent',
      this.#remainingMs(context),
      context,
    );
    if (sync.memory.tenant !== undefined) return;
    if (sync.state.kind === 'absent') throw tenantNotFound(lookup.tenant);
    throw new DomainError('SNAPSHOT_NOT_READY', `no snapshot of ${lookup.tenant} has arrived yet`, {
      metadata: { tenant: lookup.tenant },
      retryDelayMs: 1_000,
    });
  }

  /** Whether a revision arrives in time; half of what is left is kept for asking the control plane. */
  #reaches(sync: TenantSync, revision: number, context: CallContext): Promise<boolean> {
    const timeoutMs = sync.state.kind === 'live' ? this.#remainingMs(context) / 2 : 0;
    return this.#wait(sync, () => sync.memory.position.revision >= revision, timeoutMs, context);
  }

  async #askFresh(
    sync: TenantSync,
    {
      lookup,
      consistency,
      context,
    }: { lookup: Lookup; consistency: Consistency & { kind: 'max_staleness' }; context: CallContext },
  ): Promise<Answer> {
    return this.#options.askControlPlane(lookup, consistency, context).catch((error: unknown) => {
      throw isOutOfReach(error) ? stalenessExceeded(sync.stalenessMs(), consistency.stalenessMsMax) : error;
    });
  }

  async #askAtRevision(
    sync: TenantSync,
    {
      lookup,
      consistency,
      context,
    }: { lookup: Lookup; consistency: Consistency & { kind: 'min_revision' }; context: CallContext },
  ): Promise<Answer> {
    return this.#options.askControlPlane(lookup, consistency, context).catch((error: unknown) => {
      throw isOutOfReach(error) ? revisionNotReached(consistency.revision, sync.memory.position.revision) : error;
    });
  }

  #remainingMs({ deadlineMs }: CallContext): number {
    if (deadlineMs === undefined) return sidecarLimits.defaultWaitMs;
    return Math.max(0, deadlineMs - this.#options.clock.wallMs() - sidecarLimits.answerReserveMs);
  }

  #wait(sync: TenantSync, holds: () => boolean, timeoutMs: number, { signal }: CallContext): Promise<boolean> {
    return untilHolds({
      holds,
      subscribe: (listener) => sync.subscribe(listener),
      signal,
      timeoutMs,
      clock: this.#options.clock,
    });
  }
}

/** The control plane gave no answer at all, or none in time. */
function isOutOfReach(error: unknown): boolean {
  return error instanceof DomainError && error.reason === 'CONTROL_PLANE_UNAVAILABLE';
}
