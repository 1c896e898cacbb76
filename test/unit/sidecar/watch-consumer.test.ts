import { describe, expect, it } from 'vitest';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import type { TenantMemory } from '../../../sidecar/snapshot/tenant-memory.ts';
import { ControlPlaneSource } from '../../../sidecar/sync/control-plane-source.ts';
import { TenantSync } from '../../../sidecar/sync/tenant-sync.ts';
import type { Fields } from '../../../src/client/message.ts';
import type { Change } from '../../../src/domain/change.ts';
import {
  WatchResponse,
  type ChangeBatch,
  type GetPositionResponse,
  type WatchRequest,
} from '../../../src/gen/trafficmanager/v1/watch_service.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { changeToWire } from '../../../src/wire/change-wire.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { FakeWatchedTenant, type FakeWrite } from '../../fakes/fake-watched-tenant.ts';
import { nextTurn } from '../../fakes/watch-stage.ts';

/** A source that a test speaks for: streams that it opens, says something on, and breaks. */
class SpokenSource {
  readonly requests: Fields<WatchRequest>[] = [];
  #messages: WatchResponse[] = [];
  #wake: (() => void) | undefined;
  #answer: ((position: GetPositionResponse) => void) | undefined;
  #broken = false;

  async *watch(request: Fields<WatchRequest>, signal?: AbortSignal): AsyncGenerator<Buffer, void, void> {
    this.requests.push(request);
    signal?.addEventListener('abort', () => this.#wake?.());
    this.#broken = false;
    this.#messages = [];
    for (;;) {
      while (this.#messages.length > 0) {
        const message = this.#messages.shift() as WatchResponse;
        yield Buffer.from(WatchResponse.encode(message).finish());
      }
      if (this.#broken || signal?.aborted === true) throw new Error('the stream broke');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async say(...messages: readonly WatchResponse[]): Promise<void> {
    this.#messages.push(...messages);
    this.#wake?.();
    await nextTurn();
  }

  /** Where it is, once somebody has asked. */
  asked(): Promise<GetPositionResponse> {
    return new Promise((resolve) => {
      this.#answer = resolve;
    });
  }

  /** Answers the question that waits. */
  async answer(position: GetPositionResponse): Promise<void> {
    this.#answer?.(position);
    await nextTurn();
  }

  async break(): Promise<void> {
    this.#broken = true;
    this.#wake?.();
    await nextTurn();
  }
}

const write = (version: string, url: string | undefined): FakeWrite => ({
  kind: 'route',
  service: 'cart',
  version,
  url,
});

type Stage = {
  readonly clock: FakeClock;
  readonly source: SpokenSource;
  readonly sync: TenantSync;
  readonly memory: TenantMemory;
  /** The history that the source tells. */
  readonly tenant: FakeWatchedTenant;
  readonly reconnected: () => Promise<void>;
};

async function follow(): Promise<Stage> {
  const clock = new FakeClock();
  const source = new SpokenSource();
  const memory = new SnapshotMemory({ bytesMax: 1e6 }).tenant('acme');
  const tenant = new FakeWatchedTenant('acme', { bounds: { changesMax: 100, bytesMax: 1e6 }, monotonicMs: () => 0 });
  const logger = createLogger('test', 'silent');
  const sync = new TenantSync({
    tenant: 'acme',
    memory,
    source: new ControlPlaneSource(
      { watch: (request, options) => source.watch(request, options?.signal), getPosition: () => source.asked() },
      { clock, random: () => 0.5, schedule: (run) => run() },
    ),
    clock,
    random: () => 0,
    logger,
  });
  await nextTurn();
  await source.say(
    message({
      revision: 0n,
      event: { $case: 'snapshotChunk', value: { routes: [], trafficPolicies: [], last: true } },
    }),
  );
  const reconnected = async (): Promise<void> => {
    await nextTurn();
    clock.advance(0);
    await nextTurn();
  };
  return { clock, source, sync, memory, tenant, reconnected };
}

function message(fields: Partial<WatchResponse>): WatchResponse {
  return { ...WatchResponse.decode(new Uint8Array()), stalenessMs: 0n, ...fields };
}

function batch(revision: number, changes: readonly Change[], fields: Partial<ChangeBatch> = {}): WatchResponse {
  return message({
    revision: BigInt(revision),
    commitId: `commit-of-${revision}`,
    event: {
      $case: 'changeBatch',
      value: { changes: changes.map(changeToWire), continued: false, coalescedAfter: undefined, ...fields },
    },
  });
}

/** The URLs of the routes that a lookup would find, by version. */
function held(memory: TenantMemory): Record<string, string | undefined> {
  const routes = [...(memory.find('cart', 'production')?.routes.values() ?? [])];
  return Object.fromEntries(routes.map(({ key, endpoints }) => [key.version, endpoints[0]?.url]));
}

describe('a sidecar that follows a watch', () => {
  it('applies a range in parts as one: not before its last part, and never half of it', async () => {
    const { source, memory, tenant, sync, reconnected } = await follow();
    tenant.commit(write('v1', 'grpc://a:1'), write('v2', 'grpc://a:1'), write('v3', 'grpc://a:1'));
    await source.say(batch(0, tenant.log.slice(0, 2), { continued: true }));
    expect(held(memory)).toEqual({});
    await source.break();
    expect(held(memory)).toEqual({});
    await reconnected();
    // What the broken stream had said is not put together with what the next one says.
    expect(source.requests.at(-1)).toMatchObject({ afterRevision: 0n });
    await source.say(batch(0, tenant.log.slice(0, 1), { continued: true }));
    expect(memory.position.revision).toBe(0);
    await source.say(batch(3, tenant.log.slice(1)));
    expect(held(memory)).toEqual({ v1: 'grpc://a:1', v2: 'grpc://a:1', v3: 'grpc://a:1' });
    expect(memory.position.revision).toBe(3);
    await sync[Symbol.asyncDispose]();
  });

  it('takes a coalesced range, deletions of what it never saw among it, and resumes after its end', async () => {
    const { source, memory, tenant, sync, reconnected } = await follow();
    tenant.commit(write('v1', 'grpc://a:1'));
    await source.say(batch(1, tenant.log));
    tenant.commit(write('v2', 'grpc://b:1'));
    tenant.commit(write('v1', 'grpc://c:1'));
    tenant.commit(write('v2', undefined));
    const range = { coalescedAfter: 1n };
    await source.say(
      batch(1, tenant.log.slice(2, 3), { ...range, continued: true }),
      batch(4, tenant.log.slice(3), range),
    );
    expect(held(memory)).toEqual({ v1: 'grpc://c:1' });
    expect(memory.position).toEqual({ revision: 4, commitId: 'commit-of-4' });
    expect([...memory.window.unitsAfter(1)].map(({ coalesced, end }) => [coalesced, end.revision])).toEqual([
      [true, 4],
    ]);
    await source.break();
    await reconnected();
    expect(source.requests.at(-1)).toMatchObject({ afterRevision: 4n, afterCommitId: 'commit-of-4' });
    await sync[Symbol.asyncDispose]();
  });

  it('takes of a coalesced range what it does not have yet', async () => {
    const { source, memory, tenant, sync } = await follow();
    tenant.commit(write('v1', 'grpc://a:1'));
    tenant.commit(write('v2', 'grpc://b:1'));
    tenant.commit(write('v3', 'grpc://c:1'));
    await source.say(batch(2, tenant.log.slice(0, 2)));
    await source.say(batch(3, tenant.log.slice(1), { coalescedAfter: 0n }));
    expect(Object.keys(held(memory))).toEqual(['v1', 'v2', 'v3']);
    expect(
      [...memory.window.unitsAfter(2)].flatMap(({ entries }) => entries.map(({ change }) => change.revision)),
    ).toEqual([3]);
    await sync[Symbol.asyncDispose]();
  });

  it.each([
    ['changes', undefined],
    ['a coalesced range', 2n],
  ])('starts over when the source skips: %s', async (_name, coalescedAfter) => {
    const { source, memory, tenant, sync, reconnected } = await follow();
    for (let index = 0; index < 4; index++) tenant.commit(write('v1', `grpc://a${index}:1`));
    await source.say(batch(1, tenant.log.slice(0, 1)));
    await source.say(batch(4, tenant.log.slice(coalescedAfter === undefined ? 2 : 3), { coalescedAfter }));
    expect(memory.position.revision).toBe(1);
    await reconnected();
    expect(source.requests.at(-1)?.afterRevision).toBeUndefined();
    // What it holds stays until the new snapshot is complete.
    expect(held(memory)).toEqual({ v1: 'grpc://a0:1' });
    await sync[Symbol.asyncDispose]();
  });

  it('is not fresh for hearing something, while the source knows of more', async () => {
    const { clock, source, tenant, sync } = await follow();
    tenant.commit(write('v1', 'grpc://a:1'));
    tenant.commit(write('v1', 'grpc://b:1'));
    clock.advance(2_000);
    await source.say({ ...batch(1, tenant.log.slice(0, 1)), stalenessMs: undefined });
    expect(sync.stalenessMs()).toBe(2_000);
    const position = { revision: 2n, commitId: tenant.position.commitId, stalenessMs: 40n };
    // Neither for hearing that this is all, which may have been on its way for long: that takes an answer.
    await source.say({ ...batch(2, tenant.log.slice(1)), stalenessMs: 40n });
    expect(sync.stalenessMs()).toBe(2_000);
    await source.answer(position);
    expect(sync.stalenessMs()).toBe(2_040);
    clock.advance(1_000);
    await nextTurn();
    await source.answer(position);
    expect(sync.stalenessMs()).toBe(40);
    await sync[Symbol.asyncDispose]();
  });
});
