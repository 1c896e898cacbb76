import { isDeepStrictEqual } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { TrafficManagerError, type Change, type TrafficManagerClient } from '../../../src/client/index.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { drawRead, drawWork, pick, type Known } from './draw-operation.ts';
import type { Call, Operation, Write } from './operation.ts';
import { send } from './send-operation.ts';
import { pathOfChange } from './tenant-log.ts';

export type WorkloadOptions = {
  readonly seed: number;
  readonly tenants: readonly string[];
  /** One client for each replica. */
  readonly replicas: readonly TrafficManagerClient[];
  readonly clients: number;
  /** False: faults are made meanwhile, so calls may fail with nobody knowing what came of them; writes are then repeated. */
  readonly calm: boolean;
  readonly callTimeoutMs: number;
};

/** Of the last writes of each tenant, as many can be repeated. */
const repeatableMax = 50;
/** A client's own pause before it repeats a call that failed, ms. */
const repeatPauseMs = 30;
/** Etags of a resource that clients remember. */
const etagsMax = 5;

/** Concurrent clients that do random things and write down every call that they made. */
export class Workload {
  readonly calls: Call[] = [];
  readonly #options: WorkloadOptions;
  readonly #known = new Map<
    string,
    { revision: number; readonly etags: Map<string, string[]>; readonly done: Write[] }
  >();
  readonly #waiting = new Set<{
    readonly of: 'calls' | 'replies';
    readonly atLeast: number;
    readonly resume: () => void;
  }>();
  #replies = 0;
  #clock = 0;
  #operations = 0;
  #stopped = false;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    for (const tenant of options.tenants) this.#known.set(tenant, { revision: 1, etags: new Map(), done: [] });
  }

  /** Runs the clients until they have done so many operations together, or are stopped. */
  async run(operations: number): Promise<void> {
    const { clients, seed } = this.#options;
    await Promise.all(
      Array.from({ length: clients }, async (_, client) => {
        const random = seededRandom(seed * 1_009 + client);
        while (!this.#stopped && this.#operations < operations) {
          this.#operations += 1;
          await this.#operate(random, `${client}-${this.#operations}`);
        }
      }),
    );
    this.#stopped = true;
    this.#wake();
  }

  stop(): void {
    this.#stopped = true;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  knownRevision(tenant: string): number {
    return this.#of(tenant).revision;
  }

  /** Resolves when so many more calls have ended, or no more will be begun. */
  async moreCalls(count: number): Promise<void> {
    await this.#more('calls', this.calls.length + count);
  }

  /** Resolves when so many more calls have succeeded, or no more will be begun. */
  async moreReplies(count: number): Promise<void> {
    await this.#more('replies', this.#replies + count);
  }

  async #more(of: 'calls' | 'replies', atLeast: number): Promise<void> {
    if (this.#stopped) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add({ of, atLeast, resume: resolve });
    await promise;
  }

  async #operate(random: () => number, id: string): Promise<void> {
    const tenant = pick(random, this.#options.tenants);
    const { revision, etags, done } = this.#of(tenant);
    const known: Known = { random, revision, etagsOf: (path) => etags.get(path) ?? [] };
    const drawn = random();
    if (drawn < 0.3) return await this.#finish({ kind: 'read', id, tenant, what: drawRead(known) }, random);
    const work = drawWork(known);
    if (drawn < 0.38 && done.length > 0) {
      // Again, with the same id and the same body, by whichever replica.
      return await this.#finish(pick(random, done), random);
    }
    if (drawn < 0.4 && done.length > 0) {
      const { requestId, work: other } = pick(random, done);
      if (isDeepStrictEqual(other, work)) return;
      const reuse = { tenant, work, requestId, validateOnly: false, reusesRequestId: true };
      return await this.#finish({ kind: 'write', id, ...reuse }, random);
    }
    const validateOnly = random() < 0.08;
    // Under faults every write has one: without it nobody could know what came of a call that failed.
    const requestId = !validateOnly && (!this.#options.calm || random() < 0.6) ? `request-${id}` : '';
    const write: Write = { kind: 'write', id, tenant, work, requestId, validateOnly, reusesRequestId: false };
    // Twice at once, as a client does that hedges.
    const twice = requestId !== '' && random() < 0.06;
    await Promise.all(
      twice ? [this.#finish(write, random), this.#finish(write, random)] : [this.#finish(write, random)],
    );
  }

  /** Repeats a call until its outcome is known. */
  async #finish(operation: Operation, random: () => number): Promise<void> {
    for (;;) {
      const replica = Math.floor(random() * this.#options.replicas.length);
      const call = await this.#attempt(operation, replica);
      if (call.result.kind === 'reply' && operation.kind === 'write') this.#remember(operation);
      if (call.result.kind !== 'unknown') return;
      await delay(repeatPauseMs);
    }
  }

  async #attempt(operation: Operation, replica: number): Promise<Call> {
    const known = this.#of(operation.tenant);
    const begun = { operation, replica, startedAt: this.#clock++, knownRevision: known.revision };
    const client = this.#options.replicas[replica];
    if (client === undefined) throw new Error(`there is no replica ${replica}`);
    const result = await send(client, operation, this.#options.callTimeoutMs).then(
      (reply) => ({ kind: 'reply', reply }) as const,
      (error: unknown) => {
        if (!(error instanceof TrafficManagerError)) throw error;
        return { kind: !this.#options.calm && isOutcomeUnknown(error) ? 'unknown' : 'refused', error } as const;
      },
    );
    const call: Call = { ...begun, endedAt: this.#clock++, result };
    this.calls.push(call);
    if (result.kind === 'reply') this.#replies += 1;
    if (result.kind === 'reply' && !(operation.kind === 'write' && operation.validateOnly)) {
      known.revision = Math.max(known.revision, result.reply.revision ?? 0);
      for (const change of result.reply.changes) learnEtag(known.etags, change);
    }
    this.#wake();
    return call;
  }

  #remember(write: Write): void {
    const { done } = this.#of(write.tenant);
    if (write.requestId === '' || write.reusesRequestId || done.includes(write)) return;
    done.push(write);
    if (done.length > repeatableMax) done.shift();
  }

  #of(tenant: string) {
    const known = this.#known.get(tenant);
    if (known === undefined) throw new Error(`the workload has no tenant ${tenant}`);
    return known;
  }

  #wake(): void {
    for (const waiting of this.#waiting) {
      const reached = waiting.of === 'calls' ? this.calls.length : this.#replies;
      if (!this.#stopped && reached < waiting.atLeast) continue;
      this.#waiting.delete(waiting);
      waiting.resume();
    }
  }
}

function learnEtag(etags: Map<string, string[]>, change: Change): void {
  const { resource } = change;
  const after = resource?.$case === 'tenantChange' ? undefined : resource?.value.after;
  if (after === undefined) return;
  const path = pathOfChange(change);
  etags.set(path, [...(etags.get(path) ?? []), after.etag].slice(-etagsMax));
}

/** The connection broke, the deadline passed, the database was out of reach, or too many wait: it may have been carried out. */
function isOutcomeUnknown({ code, reason }: TrafficManagerError): boolean {
  return (
    code === 'UNAVAILABLE' ||
    code === 'DEADLINE_EXCEEDED' ||
    reason === 'OVERLOADED' ||
    (reason === '' && code !== 'INVALID_ARGUMENT')
  );
}
