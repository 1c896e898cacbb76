import { chooseByPolicy, type SelectionReason } from '../../src/domain/resolve.ts';
import type { Freshness } from '../../src/domain/freshness.ts';
import type { AnswerSource } from '../../src/serving/answer-source.ts';
import { LookupReader } from '../../src/wire/lookup-reader.ts';
import { encodeAnswerTail } from '../../src/wire/resolve-wire.ts';
import type { Group } from '../snapshot/group.ts';
import { endOfRoute, startOfAnswer, stateAt, type Span } from '../snapshot/group-block.ts';
import type { Subscriptions } from '../sync/subscriptions.ts';
import type { TenantSync } from '../sync/tenant-sync.ts';
import type { LookupUsage } from '../usage/lookup-usage.ts';

/** The last tail that was made for a tenant's answers by key: the same for all of them within a millisecond. */
type Tail = { revision: number; stalenessMs: number; stale: boolean; bytes: Uint8Array };

const noBytes: Buffer = Buffer.alloc(0);

export type MemoryAnswersOptions = {
  readonly subscriptions: Subscriptions;
  readonly random: () => number;
  /** Counts them; undefined: nobody does. */
  readonly usage?: LookupUsage | undefined;
};

/**
 * Lookups that memory answers at once: from the bytes of the request to those of the answer, which were encoded when the change
 * was applied. No promise, no objects of the request or the route. What it does not answer is for the
 * `SidecarResolver`: every error, whatever has to wait, and what `LookupReader` leaves to the decoder. Where both answer, they
 * answer alike; a property test holds them together.
 */
export class MemoryAnswers implements AnswerSource {
  readonly #subscriptions: Subscriptions;
  readonly #random: () => number;
  readonly #usage: LookupUsage | undefined;
  readonly #lookup = new LookupReader();
  readonly #tails = new WeakMap<TenantSync, Tail>();
  #isRepeated = false;
  // The answer that was found last.
  #block = noBytes;
  #routeStart = 0;
  #routeEnd = 0;
  #policy: Span | undefined;
  #tail: Uint8Array = noBytes;
  #found: TenantSync | undefined;

  constructor({ subscriptions, random, usage }: MemoryAnswersOptions) {
    this.#subscriptions = subscriptions;
    this.#random = random;
    this.#usage = usage;
  }

  find(request: Buffer, start: number, end: number, isRepeated = false): number {
    const lookup = this.#lookup;
    this.#isRepeated = isRepeated;
    if (!lookup.read(request, start, end)) return -1;
    const sync = this.#subscriptions.followed(lookup.tenant);
    if (sync === undefined || !this.#isFreshEnough(sync)) return -1;
    const group = sync.memory.seek(request, lookup.groupStart, lookup.groupEnd);
    if (group === undefined) return -1;
    const isFound = lookup.version === '' ? this.#choose(sync, group) : this.#take(sync, group, lookup.version);
    if (!isFound) return -1;
    this.#found = sync;
    this.#policy = group.policyAnswer;
    const policyBytes = this.#policy === undefined ? 0 : this.#policy.end - this.#policy.start;
    return this.#routeEnd - this.#routeStart + policyBytes + this.#tail.length;
  }

  write(target: Buffer, at: number): void {
    let end = at + this.#block.copy(target, at, this.#routeStart, this.#routeEnd);
    if (this.#policy !== undefined) end += this.#policy.buffer.copy(target, end, this.#policy.start, this.#policy.end);
    // Some 12 bytes: a loop takes less than a call of `set`.
    const tail = this.#tail;
    for (let index = 0; index < tail.length; index++) target[end + index] = tail[index] ?? 0;
  }

  get freshness(): Freshness {
    if (this.#found === undefined) throw new Error('nothing was found yet');
    return freshnessOf(this.#found);
  }

  #isFreshEnough(sync: TenantSync): boolean {
    const { memory } = sync;
    if (memory.tenant?.state !== 'ACTIVE') return false;
    if (memory.position.revision < this.#lookup.revisionMin) return false;
    return this.#lookup.stalenessMsMax === Infinity || sync.stalenessMs() <= this.#lookup.stalenessMsMax;
  }

  #take(sync: TenantSync, group: Group, version: string): boolean {
    const head = group.seek(version);
    if (head < 0 || stateAt(group.block, head) !== 'ACTIVE') return false;
    this.#block = group.block;
    this.#routeStart = startOfAnswer(this.#block, head);
    this.#routeEnd = endOfRoute(this.#block, head);
    this.#tail = this.#tailByKey(sync);
    if (!this.#isRepeated) this.#usage?.count(this.#lookup, version, group);
    return true;
  }

  #choose(sync: TenantSync, group: Group): boolean {
    const { policy } = group;
    if (policy === undefined) return false;
    const routes = { get: (version: string) => group.blockRoute(version) };
    const choice = chooseByPolicy(policy, routes, { lookup: this.#lookup, random: this.#random });
    if (choice === undefined) return false;
    const { buffer, start, end } = choice.route.answer;
    this.#block = buffer;
    this.#routeStart = start;
    this.#routeEnd = end;
    this.#tail = encodeTail(sync, choice.reason, choice.matchRule);
    if (!this.#isRepeated) this.#usage?.count(this.#lookup, choice.route.version, group);
    return true;
  }

  #tailByKey(sync: TenantSync): Uint8Array {
    const { revision } = sync.memory.position;
    const stalenessMs = Math.ceil(sync.stalenessMs());
    const stale = sync.state.kind !== 'live';
    let tail = this.#tails.get(sync);
    if (tail?.revision !== revision || tail.stalenessMs !== stalenessMs || tail.stale !== stale) {
      tail = { revision, stalenessMs, stale, bytes: encodeTail(sync, 'KEY') };
      this.#tails.set(sync, tail);
    }
    return tail.bytes;
  }
}

function encodeTail(sync: TenantSync, reason: SelectionReason, matchRule?: string): Uint8Array {
  return encodeAnswerTail({ reason, matchRule }, freshnessOf(sync));
}

function freshnessOf(sync: TenantSync): Freshness {
  const { revision } = sync.memory.position;
  return { source: 'SNAPSHOT', revision, stalenessMs: sync.stalenessMs(), stale: sync.state.kind !== 'live' };
}
