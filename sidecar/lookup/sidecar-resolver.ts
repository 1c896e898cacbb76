import { DomainError } from '../../src/domain/domain-error.ts';
import {
  isPast,
  revisionNotReached,
  stalenessExceeded,
  type Consistency,
  type Freshness,
} from '../../src/domain/freshness.ts';
import { resolve, type Lookup, type Resolution } from '../../src/domain/resolve.ts';
import { tenantNotFound } from '../../src/domain/transaction.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { untilHolds } from '../../src/platform/condition.ts';
import type { CallContext } from '../../src/platform/grpc/handlers.ts';
import type { Resolver } from '../../src/serving/resolver-service.ts';
import type { LookupAdmission } from '../guard/lookup-admission.ts';
import { sidecarLimits } from '../limits.ts';
import type { Subscriptions } from '../sync/subscriptions.ts';
import type { TenantSync } from '../sync/tenant-sync.ts';
import type { AskControlPlane } from './ask-control-plane.ts';

type Answer = { readonly resolution: Resolution; readonly freshness: Freshness };
type Question = { readonly lookup: Lookup; readonly consistency: Consistency; readonly context: CallContext };

export type SidecarResolverOptions = {
  readonly subscriptions: Subscriptions;
  readonly askControlPlane: AskControlPlane;
  readonly admission: LookupAdmission;
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
    return this.#atOnce(lookup, consistency) ?? (await this.#inItsPlace(lookup, consistency, context));
  }

  /** What waits for nothing is answered however many wait. */
  #atOnce(lookup: Lookup, consistency: Consistency): Answer | undefined {
    if (consistency.kind === 'strong' || isPast(consistency)) return undefined;
    const subscription = this.#options.subscriptions.find(lookup.tenant);
    if (subscription.kind !== 'followed') return undefined;
    const { sync } = subscription;
    const isHeld = sync.memory.tenant !== undefined && sync.memory.knows(lookup.service, lookup.environment);
    return isHeld && isFreshEnough(sync, consistency) ? this.#fromMemory(sync, lookup) : undefined;
  }

  async #inItsPlace(lookup: Lookup, consistency: Consistency, context: CallContext): Promise<Answer> {
    using _place = this.#options.admission.enter(lookup.tenant);
    return await this.#resolve(lookup, consistency, context);
  }

  async #resolve(lookup: Lookup, consistency: Consistency, context: CallContext): Promise<Answer> {
    const { subscriptions, askControlPlane } = this.#options;
    if (consistency.kind === 'strong' || isPast(consistency)) return askControlPlane(lookup, consistency, context);
    const subscription = subscriptions.find(lookup.tenant);
    if (subscription.kind === 'absent' && consistency.kind === 'eventual') throw tenantNotFound(lookup.tenant);
    if (subscription.kind !== 'followed') return askControlPlane(lookup, consistency, context);
    const { sync } = subscription;
    if (!(await this.#mayAnswer(sync, consistency, context))) {
      if (consistency.kind === 'eventual') throw whyNotHeld(sync, lookup.tenant);
      return this.#askInstead(sync, { lookup, consistency, context });
    }
    if (!sync.memory.knows(lookup.service, lookup.environment)) return askControlPlane(lookup, consistency, context);
    return this.#fromMemory(sync, lookup);
  }

  /** Whether memory is, or comes to be in time, as fresh as is asked for. */
  async #mayAnswer(sync: TenantSync, consistency: Consistency, context: CallContext): Promise<boolean> {
    if (!(await this.#isHeld(sync, consistency, context))) return false;
    switch (consistency.kind) {
      case 'eventual':
        return true;
      case 'max_staleness':
        return sync.stalenessMs() <= consistency.stalenessMsMax;
      case 'min_revision':
        return this.#reaches(sync, consistency.revision, context);
      case 'strong':
      case 'at_revision':
      case 'at_time':
        return false;
    }
  }

  #fromMemory(sync: TenantSync, lookup: Lookup): Answer {
    const resolution = resolve(sync.memory, lookup, this.#options.random);
    const { revision } = sync.memory.position;
    return {
      resolution,
      freshness: { source: 'SNAPSHOT', revision, stalenessMs: sync.stalenessMs(), stale: sync.state.kind !== 'live' },
    };
  }

  /** Waits for the first snapshot of a tenant; false when there is no such tenant, or it does not come in time. */
  async #isHeld(sync: TenantSync, { kind }: Consistency, context: CallContext): Promise<boolean> {
    const isHeld = (): boolean => sync.memory.tenant !== undefined;
    const remainingMs = this.#remainingMs(context);
    // What may be asked elsewhere keeps half of the time for it.
    const timeoutMs = kind === 'eventual' ? remainingMs : remainingMs / 2;
    await this.#wait(sync, () => isHeld() || sync.state.kind === 'absent', timeoutMs, context);
    return isHeld();
  }

  /** Whether a revision arrives in time; half of what is left is kept for asking the control plane. */
  async #reaches(sync: TenantSync, revision: number, context: CallContext): Promise<boolean> {
    const reached = (): boolean => sync.memory.position.revision >= revision;
    if (sync.state.kind !== 'live') return reached();
    return this.#wait(sync, reached, this.#remainingMs(context) / 2, context);
  }

  /** Asks the control plane what memory is not fresh enough for; when that gives no answer, says what memory lacks. */
  async #askInstead(sync: TenantSync, { lookup, consistency, context }: Question): Promise<Answer> {
    return this.#options.askControlPlane(lookup, consistency, context).catch((error: unknown) => {
      const outOfReach = error instanceof DomainError && error.reason === 'CONTROL_PLANE_UNAVAILABLE';
      if (!outOfReach || sync.memory.tenant === undefined) throw error;
      if (consistency.kind === 'max_staleness') throw stalenessExceeded(sync.stalenessMs(), consistency.stalenessMsMax);
      if (consistency.kind === 'min_revision')
        throw revisionNotReached(consistency.revision, sync.memory.position.revision);
      throw error;
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

function isFreshEnough(
  sync: TenantSync,
  consistency: Exclude<Consistency, { kind: 'strong' | 'at_revision' | 'at_time' }>,
): boolean {
  switch (consistency.kind) {
    case 'eventual':
      return true;
    case 'max_staleness':
      return sync.stalenessMs() <= consistency.stalenessMsMax;
    case 'min_revision':
      return sync.memory.position.revision >= consistency.revision;
  }
}

function whyNotHeld(sync: TenantSync, tenant: string): DomainError {
  if (sync.state.kind === 'absent') return tenantNotFound(tenant);
  return new DomainError('SNAPSHOT_NOT_READY', `no snapshot of ${tenant} has arrived yet`, {
    metadata: { tenant },
    retryDelayMs: 1_000,
  });
}
