import { Metadata } from '@grpc/grpc-js';
import { TenantReplica } from '../../../src/app/tenant-replica.ts';
import type { Change } from '../../../src/domain/change.ts';
import { WatchRequest, WatchResponse } from '../../../src/gen/trafficmanager/v1/watch_service.ts';
import type { CallContext, StreamWriter } from '../../../src/platform/grpc/handlers.ts';
import type { TenantSnapshot } from '../../../src/ports/configuration-store.ts';
import { watchHandlers, type WatchSource } from '../../../src/serving/watch-service.ts';
import { exampleTenant } from '../../fakes/example-configuration.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { createInMemoryConfigurationStore } from '../../fakes/in-memory-configuration-store.ts';

/** The receiving end of a watch: it takes a message when the test asks for one, and holds the handler back until then. */
class Receiver implements StreamWriter<WatchResponse> {
  readonly #waiting: { readonly response: WatchResponse; readonly taken: () => void }[] = [];
  #onMessage: (() => void) | undefined;

  async write(response: WatchResponse | Uint8Array): Promise<void> {
    // As the wire would: what cannot be encoded fails here.
    const sent = response instanceof Uint8Array ? response : WatchResponse.encode(response).finish();
    await new Promise<void>((taken) => {
      this.#waiting.push({ response: WatchResponse.decode(sent), taken });
      this.#onMessage?.();
    });
  }

  /** The next message; the handler goes on once it is taken. */
  async next(): Promise<WatchResponse> {
    const { response, taken } = await this.#first();
    this.#waiting.shift();
    taken();
    return response;
  }

  /** Resolves when the handler waits for its message to be taken. */
  async pending(): Promise<void> {
    await this.#first();
  }

  async #first() {
    for (;;) {
      const [first] = this.#waiting;
      if (first !== undefined) return first;
      await new Promise<void>((resolve) => (this.#onMessage = resolve));
    }
  }
}

/** A tenant in memory and a log beside it, watched through the handler. */
export class WatchBench {
  readonly clock = new FakeClock();
  readonly draining = new AbortController();
  readonly tenant: TenantReplica;
  /** Changes that `older` answers from. */
  log: readonly Change[] = [];
  #subscribers = 0;

  constructor(snapshot?: Partial<TenantSnapshot>) {
    const store = createInMemoryConfigurationStore(() => 0);
    this.tenant = new TenantReplica(exampleTenant, store, () => this.clock.monotonicMs());
    if (snapshot !== undefined) this.reset(snapshot);
  }

  /** How many watches listen to the tenant. */
  get subscribers(): number {
    return this.#subscribers;
  }

  /** Memory taken anew. */
  reset(snapshot: Partial<TenantSnapshot>): void {
    const position = snapshot.position ?? { revision: 1, commitId: 'commit-1' };
    const tenant = { tenant: exampleTenant, displayName: '', revision: position.revision, createTimeMs: 1 };
    this.tenant.reset({ tenant, position, routes: [], policies: [], ...snapshot });
    this.tenant.markVerified(this.clock.monotonicMs());
  }

  commit(changes: readonly Change[]): void {
    this.tenant.advance(changes);
    this.tenant.markVerified(this.clock.monotonicMs());
  }

  watch(fields: Partial<WatchRequest> = {}) {
    const source: WatchSource = {
      open: async () => await Promise.resolve(this.#counted()),
      older: async (_tenant, from, limit) => {
        const found = this.log.filter(({ revision }) => revision >= from);
        const last = found[Math.min(limit, found.length) - 1];
        const end = limit === 1 ? last?.revision : last?.commitRevision;
        return await Promise.resolve(found.filter(({ revision }) => revision <= (end ?? 0)));
      },
    };
    const caller = new AbortController();
    const context: CallContext = {
      signal: caller.signal,
      draining: this.draining.signal,
      deadlineMs: undefined,
      correlationId: 'correlation',
      metadata: new Metadata(),
    };
    const receiver = new Receiver();
    const request = { ...WatchRequest.decode(new Uint8Array()), tenant: exampleTenant, ...fields };
    const done = watchHandlers({ source, clock: this.clock }).watch(request, receiver, context);
    // Looked at by the tests that end the watch; nobody else waits for it.
    done.catch(() => {});
    return { next: async () => await receiver.next(), pending: async () => await receiver.pending(), done, caller };
  }

  #counted(): TenantReplica {
    const subscribe = (listener: () => void): Disposable => {
      const subscription = this.tenant.subscribe(listener);
      this.#subscribers += 1;
      return {
        [Symbol.dispose]: () => {
          this.#subscribers -= 1;
          subscription[Symbol.dispose]();
        },
      };
    };
    return new Proxy(this.tenant, {
      get: (tenant, name) => {
        if (name === 'subscribe') return subscribe;
        const value: unknown = Reflect.get(tenant, name, tenant);
        return typeof value === 'function' ? (value.bind(tenant) as unknown) : value;
      },
    });
  }
}
