import { DomainError, type Reason } from '../../src/domain/domain-error.ts';
import type { Consistency, Freshness } from '../../src/domain/freshness.ts';
import type { Lookup, Resolution } from '../../src/domain/resolve.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { sidecarLimits } from '../limits.ts';
import { AnswerCache, keyOf, type Kept, type Said } from './answer-cache.ts';
import type { AskContext, AskControlPlane } from './ask-control-plane.ts';

type Answer = { readonly resolution: Resolution; readonly freshness: Freshness };
/** A question to the control plane that is under way. `revisionMin`: of a change that came meanwhile; an older answer is not kept. */
type Flight = { readonly key: string; readonly lookup: Lookup; revisionMin: number };
/** One that several wait for. */
type SharedFlight = { readonly flight: Flight; readonly answer: Promise<Answer> };

/** What the control plane says when it knows that there is nothing. */
const absentReasons: ReadonlySet<string> = new Set<Reason>([
  'TENANT_NOT_FOUND',
  'ROUTE_NOT_FOUND',
  'ROUTE_INACTIVE',
  'VERSION_NOT_SELECTED',
]);
/** It said nothing: what was said before may still stand. */
const silentReasons: ReadonlySet<string> = new Set<Reason>(['CONTROL_PLANE_UNAVAILABLE', 'OVERLOADED']);

/** Counted since the start. */
export type AnswerCounts = {
  hits: number;
  negativeHits: number;
  misses: number;
  staleHits: number;
  refreshes: number;
  shared: number;
};

/**
 * The control plane's answers to what memory does not hold, remembered: asked once for all who wait (single-flight), kept and answered
 * while fresh (cache-aside), asked again before that ends when somebody still looks them up (refresh-ahead), answered a while
 * longer while they are asked for again (stale-while-revalidate), and longer still when nobody answers (stale-if-error). "There is
 * nothing" is kept too, for less long, and never answered past that. Changes that arrive drop what they are about. What is
 * drawn by chance is asked for each time: an answer that is kept would take the chance out of it.
 */
export class RememberedAnswers {
  readonly counts: AnswerCounts = { hits: 0, negativeHits: 0, misses: 0, staleHits: 0, refreshes: 0, shared: 0 };
  readonly #ask: AskControlPlane;
  readonly #clock: Clock;
  readonly #cache = new AnswerCache();
  /** Bounded by who may ask: see `LookupAdmission`. */
  readonly #flights = new Set<Flight>();
  /** Of these, those that whoever asks the same may wait for. */
  readonly #shared = new Map<string, SharedFlight>();

  constructor({ ask, clock }: { ask: AskControlPlane; clock: Clock }) {
    this.#ask = ask;
    this.#clock = clock;
  }

  get size(): number {
    return this.#cache.size;
  }

  /** Answers from what is remembered, or asks. */
  readonly ask: AskControlPlane = async (lookup, consistency, context) => {
    const isDrawn = lookup.version === '' && lookup.hashKey === '';
    if (consistency.kind === 'strong' || consistency.kind === 'at_revision' || consistency.kind === 'at_time')
      return this.#ask(lookup, consistency, context);
    const key = keyOf(lookup);
    const kept = this.#cache.get(key);
    if (kept !== undefined && this.#isGoodFor(kept, consistency)) return this.#answerFrom(key, kept);
    this.counts.misses++;
    if (isDrawn || consistency.kind !== 'eventual')
      return this.#askAlone(this.#takeOff(key, lookup), consistency, context);
    const answer = this.#fly(key, lookup);
    try {
      return await untilGone(answer, context.signal);
    } catch (error) {
      // Not what was kept when it was asked: a change may have come since.
      const last = this.#cache.get(key);
      if (!isSilence(error) || last?.said.kind !== 'found') throw error;
      if (this.#ageMs(last) > sidecarLimits.answers.ifErrorMs) throw error;
      this.counts.staleHits++;
      return this.#answered(last, last.said, true);
    }
  };

  /**
   * A service in an environment has changed (undefined: anything may have): what is kept or asked for of before does not count. Whoever
   * looks it up from now on asks anew: what is under way may have been answered before the change.
   */
  changed(tenant: string, group: Pick<Lookup, 'service' | 'environment'> | undefined, revision: number): void {
    if (group === undefined) this.#cache.dropTenant(tenant);
    else this.#cache.drop({ tenant, ...group });
    for (const flight of this.#flights) {
      const { key, lookup } = flight;
      const isSame =
        group === undefined || (lookup.service === group.service && lookup.environment === group.environment);
      if (lookup.tenant !== tenant || !isSame) continue;
      flight.revisionMin = Math.max(flight.revisionMin, revision);
      this.#shared.delete(key);
    }
  }

  /** The control plane can be reached again: asks anew for what a tenant's callers looked up last, before they do. */
  warm(tenant: string): void {
    let count = 0;
    for (const [key, kept] of Array.from(this.#cache.ofTenant(tenant))) {
      if (++count > sidecarLimits.answers.warmedMax) return;
      if (this.#ageMs(kept) > sidecarLimits.answers.refreshMs) this.#refresh(key, kept.lookup);
    }
  }

  #isGoodFor({ said, askedAtMs }: Kept, consistency: Consistency): boolean {
    const ageMs = this.#clock.monotonicMs() - askedAtMs;
    const { freshMs, absentMs, whileRevalidatingMs } = sidecarLimits.answers;
    if (said.kind === 'absent') return consistency.kind === 'eventual' && ageMs <= absentMs;
    if (consistency.kind === 'max_staleness') return said.freshness.stalenessMs + ageMs <= consistency.stalenessMsMax;
    if (consistency.kind === 'min_revision') return said.freshness.revision >= consistency.revision && ageMs <= freshMs;
    return ageMs <= whileRevalidatingMs;
  }

  #answerFrom(key: string, kept: Kept): Answer {
    const { said, lookup } = kept;
    if (said.kind === 'absent') {
      this.counts.negativeHits++;
      throw said.error;
    }
    this.counts.hits++;
    if (this.#ageMs(kept) > sidecarLimits.answers.refreshMs) this.#refresh(key, lookup);
    return this.#answered(kept, said, said.freshness.stale);
  }

  #answered(kept: Kept, { resolution, freshness }: Extract<Said, { kind: 'found' }>, stale: boolean): Answer {
    const stalenessMs = freshness.stalenessMs + this.#ageMs(kept);
    return { resolution, freshness: { source: 'CACHE', revision: freshness.revision, stalenessMs, stale } };
  }

  #ageMs({ askedAtMs }: Kept): number {
    return Math.max(0, this.#clock.monotonicMs() - askedAtMs);
  }

  #refresh(key: string, lookup: Lookup): void {
    if (this.#shared.has(key)) return;
    this.counts.refreshes++;
    // Nobody waits for it: what is kept goes on counting while it may.
    this.#fly(key, lookup).catch(() => undefined);
  }

  /** Asks for all who want the same meanwhile; none of them can take it from the others by leaving. */
  #fly(key: string, lookup: Lookup): Promise<Answer> {
    const under = this.#shared.get(key);
    if (under !== undefined) {
      this.counts.shared++;
      return under.answer;
    }
    const context: AskContext = { signal: new AbortController().signal, deadlineMs: undefined, correlationId: '' };
    const flight = this.#takeOff(key, lookup);
    const answer = this.#askAlone(flight, { kind: 'eventual' }, context);
    this.#shared.set(key, { flight, answer });
    const land = (): void => {
      if (this.#shared.get(key)?.flight === flight) this.#shared.delete(key);
    };
    answer.then(land, land);
    return answer;
  }

  #takeOff(key: string, lookup: Lookup): Flight {
    const flight: Flight = { key, lookup, revisionMin: 0 };
    this.#flights.add(flight);
    return flight;
  }

  async #askAlone(flight: Flight, consistency: Consistency, context: AskContext): Promise<Answer> {
    const { key, lookup } = flight;
    const askedAtMs = this.#clock.monotonicMs();
    try {
      const answer = await this.#ask(lookup, consistency, context);
      const isDrawn = lookup.version === '' && lookup.hashKey === '' && answer.resolution.reason !== 'DEFAULT_VERSION';
      const isOutdated = answer.freshness.revision < flight.revisionMin;
      if (!isDrawn && !isOutdated) this.#keep(key, { lookup, said: { kind: 'found', ...answer }, askedAtMs });
      return answer;
    } catch (error) {
      const isAbsent = error instanceof DomainError && absentReasons.has(error.reason);
      // A change that came meanwhile may have made it: a NOT_FOUND has no revision to tell.
      if (isAbsent && flight.revisionMin === 0) this.#keep(key, { lookup, said: { kind: 'absent', error }, askedAtMs });
      throw error;
    } finally {
      this.#flights.delete(flight);
    }
  }

  /** Questions land in any order: what is kept gives way to nothing that is older. */
  #keep(key: string, kept: Kept): void {
    const before = this.#cache.get(key);
    if (before !== undefined && isOlder(kept, before)) return;
    this.#cache.set(key, kept);
  }
}

/** By revision where both have one: a replica may be behind the one that was asked before it. */
function isOlder(kept: Kept, than: Kept): boolean {
  if (kept.said.kind === 'found' && than.said.kind === 'found')
    return kept.said.freshness.revision < than.said.freshness.revision;
  return kept.askedAtMs < than.askedAtMs;
}

function isSilence(error: unknown): boolean {
  return error instanceof DomainError && silentReasons.has(error.reason);
}

/** The same, unless the caller leaves first. */
function untilGone<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason as Error);
    if (signal.aborted) return leave();
    signal.addEventListener('abort', leave, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  });
}
