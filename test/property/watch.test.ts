import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DomainError } from '../../src/domain/domain-error.ts';
import type { FakeWrite } from '../fakes/fake-watched-tenant.ts';
import { FakeWatchStream } from '../fakes/fake-watch-stream.ts';
import { WatchClientModel } from '../fakes/watch-client-model.ts';
import { nextTurn, WatchStage, type FakeWatch } from '../fakes/watch-stage.ts';

/** What happens, one after the other. Numbers that choose a watcher or a revision are taken modulo how many there are. */
type Step =
  | { readonly kind: 'commit'; readonly transactions: readonly (readonly FakeWrite[])[]; readonly coalesced: boolean }
  | {
      readonly kind: 'join';
      readonly fresh: boolean;
      readonly at: number;
      readonly services: readonly string[];
      readonly everyChange: boolean;
    }
  | { readonly kind: 'read'; readonly watcher: number; readonly count: number }
  | { readonly kind: 'stop_reading' | 'start_reading' | 'reconnect'; readonly watcher: number }
  | { readonly kind: 'turn' | 'settle' }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'restore' | 'forget_log'; readonly at: number };

const write: fc.Arbitrary<FakeWrite> = fc.record({
  kind: fc.constantFrom('route', 'route', 'route', 'policy'),
  service: fc.constantFrom('cart', 'checkout', 'search'),
  version: fc.constantFrom('v1', 'v2', 'v3'),
  url: fc.constantFrom('small', 'large', 'other', undefined),
});
// Some transactions are too large for a message.
const transaction = fc.oneof(
  { weight: 6, arbitrary: fc.array(write, { minLength: 1, maxLength: 3 }) },
  { weight: 1, arbitrary: fc.array(write, { minLength: 20, maxLength: 40 }) },
);
const at = fc.nat({ max: 10_000 });
const watcher = fc.nat({ max: 30 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('commit'),
      transactions: fc.array(transaction, { minLength: 1, maxLength: 12 }),
      coalesced: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('join'),
      fresh: fc.boolean(),
      at,
      services: fc.constantFrom([], [], ['cart'], ['search', 'checkout']),
      everyChange: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('read'), watcher, count: fc.nat({ max: 4 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('stop_reading', 'start_reading', 'reconnect'), watcher }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom('turn', 'settle') }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('pass'), ms: fc.constantFrom(50, 1_000, 6_000, 31_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('restore', 'forget_log'), at }) },
);

const server = fc.constantFrom<Server[]>('control plane', 'old control plane', 'sidecar');

/** Small, so that watchers fall out of it; a tenth of it is behind. */
const bounds = { changesMax: 60, bytesMax: 512 * 1024 };
const stallMsMax = 30_000;
/** A message and the transport's own buffer, and one change more than fits. */
const waitingBytesBound = 2 * 64 * 1024 + 10_000;

/** A large one takes a sixteenth of a message; named only here, so that a failing run can be read. */
function spelledOut(each: FakeWrite): FakeWrite {
  return { ...each, url: each.url && `grpc://${each.url === 'large' ? 'x'.repeat(4_000) : each.url}:1` };
}

class Client {
  readonly #taken = { count: 0 };
  readonly watch: FakeWatch;
  readonly model: WatchClientModel;
  readonly services: readonly string[];
  readonly everyChange: boolean;
  /** Whether it ever let something wait: only then may it be too slow. */
  stopped = false;

  constructor(
    watch: FakeWatch,
    model: WatchClientModel,
    { services, everyChange }: { services: readonly string[]; everyChange: boolean },
  ) {
    this.watch = watch;
    this.model = model;
    this.services = services;
    this.everyChange = everyChange;
  }

  /** Holds what was read since the last time against the contract. */
  check(): void {
    const { received } = this.watch.stream;
    for (; this.#taken.count < received.length; this.#taken.count++) this.model.take(received[this.#taken.count]!);
    expect(this.watch.stream.waitingBytesMax).toBeLessThanOrEqual(waitingBytesBound);
  }
}

/** Whose tenant it is: a control plane's, with little history or with more than one page of its log; or a sidecar's, which keeps no log. */
type Server = 'control plane' | 'old control plane' | 'sidecar';

class Run {
  readonly #server: Server;
  readonly stage = new WatchStage({ bounds, stallMsMax });
  readonly clients: Client[] = [];
  readonly seen = {
    coalesced: 0,
    continued: 0,
    progress: 0,
    tooSlow: 0,
    compacted: 0,
    diverged: 0,
    logReads: 0,
    changes: 0,
  };
  #restored = false;

  constructor(server: Server) {
    this.#server = server;
    const { tenant } = this.stage;
    if (server === 'sidecar') tenant.keptFrom = Number.MAX_SAFE_INTEGER;
    if (server !== 'old control plane') return;
    for (let index = 0; index < 1_200; index++)
      tenant.commit({ kind: 'route', service: 'cart', version: `v${index % 3}`, url: 'grpc://a:1' });
  }

  async step(next: Step): Promise<void> {
    const { stage } = this;
    switch (next.kind) {
      case 'commit':
        if (next.coalesced && this.#server === 'sidecar')
          return void stage.tenant.commitCoalesced(next.transactions.map((writes) => writes.map(spelledOut)));
        for (const writes of next.transactions) stage.tenant.commit(...writes.map(spelledOut));
        return;
      case 'join':
        return this.#join(next);
      case 'read':
        return this.#client(next.watcher)?.watch.stream.read(next.count);
      case 'stop_reading': {
        const client = this.#client(next.watcher);
        if (client === undefined) return;
        client.stopped = true;
        client.watch.stream.reading = false;
        return;
      }
      case 'start_reading': {
        const stream = this.#client(next.watcher)?.watch.stream;
        if (stream === undefined) return;
        stream.reading = true;
        return stream.read();
      }
      case 'reconnect':
        return this.#reconnect(this.#client(next.watcher));
      case 'turn':
        return stage.turn();
      case 'settle':
        return stage.settle();
      case 'pass':
        return stage.pass(next.ms);
      case 'restore': {
        const ends = [
          0,
          ...stage.tenant.log.flatMap((each) => (each.revision === each.commitRevision ? [each.revision] : [])),
        ];
        this.#restored = true;
        return stage.tenant.restoreTo(ends[next.at % ends.length]!);
      }
      case 'forget_log':
        if (this.#server === 'sidecar') return;
        stage.tenant.keptFrom = Math.max(stage.tenant.keptFrom, next.at % (stage.tenant.log.length + 1));
    }
  }

  #client(index: number): Client | undefined {
    return this.clients[index % Math.max(1, this.clients.length)];
  }

  async #join({ fresh, at: where, services, everyChange }: Step & { kind: 'join' }): Promise<void> {
    const { log, position } = this.stage.tenant;
    const ends = log.filter(({ revision, commitRevision }) => revision === commitRevision);
    const end = ends[where % Math.max(1, ends.length)];
    const after =
      end === undefined ? { revision: 0, commitId: '' } : { revision: end.revision, commitId: end.commitId };
    await this.#begin({ after: fresh ? undefined : after, services, everyChange, revisionMin: position.revision });
  }

  async #begin({ after, services, everyChange, revisionMin }: Begin): Promise<void> {
    const stream = new FakeWatchStream();
    const resume = after === undefined ? {} : { afterRevision: BigInt(after.revision), afterCommitId: after.commitId };
    const watch = this.stage.watch({ services: [...services], everyChange, ...resume }, stream);
    const model = new WatchClientModel({ log: this.stage.tenant.log, after, revisionMin, services, everyChange });
    this.clients.push(new Client(watch, model, { services, everyChange }));
    // It has been taken in, and not been served: what happens next finds it there.
    await nextTurn();
  }

  /** Leaves, and comes back to where it was. */
  async #reconnect(client: Client | undefined): Promise<void> {
    if (client === undefined) return;
    client.check();
    client.watch.cancel();
    const { position } = client.model;
    this.#settle(client);
    await this.#begin({ after: position, services: client.services, everyChange: client.everyChange, revisionMin: 0 });
  }

  /** Checks a client for the last time. */
  #settle(client: Client): void {
    client.check();
    this.clients.splice(this.clients.indexOf(client), 1);
    for (const name of ['coalesced', 'continued', 'progress', 'changes'] as const)
      this.seen[name] += client.model.seen[name];
    const outcome = client.watch.outcome();
    if (!(outcome instanceof DomainError)) return;
    if (outcome.reason === 'WATCHER_TOO_SLOW') {
      this.seen.tooSlow++;
      expect(client.stopped).toBe(true);
      if (client.watch.stream.lost > 0) return;
      const { revision } = outcome.metadata;
      // Without a whole snapshot there is nothing to resume from.
      expect(revision === undefined).toBe(client.model.position === undefined);
      if (revision !== undefined) client.model.expectNothingBetween(Number(revision));
    } else if (outcome.reason === 'REVISION_COMPACTED') this.seen.compacted++;
    else if (outcome.reason === 'HISTORY_DIVERGED' || outcome.reason === 'REVISION_IN_FUTURE') {
      this.seen.diverged++;
      expect(this.#restored).toBe(true);
    } else throw outcome;
  }

  /** In the end everybody who reads has everything, and everybody else was told why not. */
  async end(): Promise<void> {
    const { stage } = this;
    for (const { watch } of this.clients) {
      watch.stream.reading = true;
      watch.stream.read();
    }
    await stage.settle();
    await stage.pass(6_000);
    const left = this.clients.slice();
    for (const client of left) {
      client.check();
      if (client.watch.outcome() === undefined) expect(client.model.position).toEqual(stage.tenant.position);
      client.watch.cancel();
      this.#settle(client);
    }
    await stage.settle();
    expect(stage.tenant.listeners).toBe(0);
    this.seen.logReads += stage.logReads;
  }
}

type Begin = {
  readonly after: { revision: number; commitId: string } | undefined;
  readonly services: readonly string[];
  readonly everyChange: boolean;
  readonly revisionMin: number;
};

it('keeps the contract of Watch whatever its watchers do', async () => {
  const totals: Record<string, number> = {};
  await fc.assert(
    fc.asyncProperty(server, fc.array(step, { minLength: 20, maxLength: 80, size: 'max' }), async (which, steps) => {
      const run = new Run(which);
      for (const next of steps) await run.step(next);
      await run.end();
      for (const [name, count] of Object.entries(run.seen)) totals[name] = (totals[name] ?? 0) + count;
    }),
    { numRuns: Number(process.env['WATCH_PROPERTY_RUNS'] ?? 60) },
  );
  // What the property is about did happen.
  for (const [name, count] of Object.entries(totals)) expect(count, name).toBeGreaterThan(0);
});
