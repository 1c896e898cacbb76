import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSidecarConfig, type SidecarConfig } from '../../sidecar/config.ts';
import { startSidecar } from '../../sidecar/sidecar.ts';
import {
  createClient,
  Endpoint,
  message,
  Route,
  Tenant,
  TrafficManagerError,
  TrafficPolicy,
  WeightedVersion,
  type RouteKey,
  type TrafficManagerClient,
  type WatchResponse,
} from '../../src/client/index.ts';
import type { Consistency, ResolveResponse } from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { systemClock, type Clock } from '../../src/platform/clock.ts';
import { createLogger } from '../../src/platform/logger.ts';

/** The machine's time, which a test can move forward; waits take the machine's time all the same. */
export class ShiftedClock implements Clock {
  #offsetMs = 0;

  advance(durationMs: number): void {
    this.#offsetMs += durationMs;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.#offsetMs;
  }

  wallMs(): number {
    return systemClock.wallMs();
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(durationMs, signal);
  }
}

/** A sidecar in this process; disposing closes its clients and stops it. */
export interface TestSidecar extends AsyncDisposable {
  /** `127.0.0.1:port`; empty when it listens on none. */
  readonly address: string;
  /** `unix:/path`. */
  readonly socket: string;
  /** Over the socket. */
  readonly client: TrafficManagerClient;
  /** What it takes for the time; moving it ages what it holds. */
  readonly clock: ShiftedClock;
  /** One lookup. */
  resolve(key: Fields, options?: LookupOptions): Promise<ResolveResponse>;
  /** Looks up until the answer is so; a look-up that fails is one more that is not. */
  untilResolved(
    key: Fields,
    holds: (answer: ResolveResponse) => boolean,
    options?: LookupOptions,
  ): Promise<ResolveResponse>;
  /** Resolves once it holds a revision of a tenant. */
  untilRevision(tenant: string, revision: bigint): Promise<void>;
}

type Fields = Partial<RouteKey>;
type LookupOptions = {
  readonly hashKey?: string;
  readonly consistency?: Consistency['requirement'];
  readonly timeoutMs?: number;
};

/** A whole key; what is not given is the example's: acme/cart/production, and no version. */
export function keyOf(fields: Fields = {}): RouteKey {
  return { tenant: 'acme', service: 'cart', environment: 'production', version: '', ...fields };
}

/** Starts a sidecar on any free port and a socket of its own. */
export async function startTestSidecar(config: Partial<SidecarConfig> & { source: string }): Promise<TestSidecar> {
  const owned = new AsyncDisposableStack();
  try {
    const { path } = owned.use(await makeSocketDirectory());
    const clock = new ShiftedClock();
    const sidecar = owned.use(
      await startSidecar(
        {
          ...readSidecarConfig({ TM_SIDECAR_SOURCE: config.source }),
          address: '127.0.0.1:0',
          socketPath: join(path, 'sidecar.sock'),
          isDefaultSocket: false,
          drainMs: 10_000,
          ...config,
        },
        createLogger('sidecar', 'silent'),
        // A tenth of each backoff: tests wait for a reconnect, fleets do not come back together here.
        { clock, random: () => 0.1 },
      ),
    );
    const socket = sidecar.addresses.find((each) => each.startsWith('unix:')) ?? '';
    const address = sidecar.addresses.find((each) => each !== socket) ?? '';
    const client = owned.use(createClient({ address: socket, defaults: { timeoutMs: 10_000 } }));
    return {
      address,
      socket,
      client,
      clock,
      ...lookupsOf(client),
      [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
    };
  } catch (error) {
    await owned.disposeAsync();
    throw error;
  }
}

/** A directory whose path is short enough for a socket in it. */
export async function makeSocketDirectory(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'tm-'));
  return { path, [Symbol.asyncDispose]: async () => await rm(path, { recursive: true, force: true }) };
}

/** Ways of asking a sidecar, in this process or in another. */
export function lookupsOf(
  client: TrafficManagerClient,
): Pick<TestSidecar, 'resolve' | 'untilResolved' | 'untilRevision'> {
  const resolve: TestSidecar['resolve'] = async (fields, { hashKey, consistency, timeoutMs } = {}) =>
    await client.resolver.resolve(
      { key: keyOf(fields), hashKey, consistency: consistency && { requirement: consistency } },
      { timeoutMs },
    );
  return {
    resolve,
    untilResolved: async (fields, holds, options) => {
      for (;;) {
        const answer = await resolve(fields, options).catch(unlessRefused);
        if (answer !== undefined && holds(answer)) return answer;
      }
    },
    untilRevision: async (tenant, revision) => {
      const progressInterval = { seconds: 0n, nanos: 100_000_000 };
      for (;;) {
        try {
          for await (const told of client.watch({ tenant, progressInterval })) if (told.revision >= revision) return;
        } catch (error) {
          // Not there yet, or its memory was taken anew.
          unlessRefused(error);
        }
      }
    },
  };
}

function unlessRefused(error: unknown): undefined {
  if (!(error instanceof TrafficManagerError)) throw error;
  return undefined;
}

/** Creates a route, or moves it: one endpoint. Answers the tenant's revision. */
export async function putRoute(
  controlPlane: TrafficManagerClient,
  fields: Fields,
  url = 'grpc://cart.acme.internal:1',
): Promise<bigint> {
  const route = message(Route, { key: keyOf(fields), endpoints: [message(Endpoint, { url })] });
  return (await controlPlane.routes.updateRoute({ route, allowMissing: true })).revision;
}

/** Sets a policy with a default version or a split. Answers the tenant's revision. */
export async function putPolicy(
  controlPlane: TrafficManagerClient,
  fields: Fields,
  choice: { readonly defaultVersion?: string; readonly split?: Readonly<Record<string, number>> },
): Promise<bigint> {
  const { tenant, service, environment } = keyOf(fields);
  const split = Object.entries(choice.split ?? {}).map(([version, weight]) =>
    message(WeightedVersion, { version, weight }),
  );
  const trafficPolicy = message(TrafficPolicy, {
    key: { tenant, service, environment },
    defaultVersion: choice.defaultVersion,
    split,
  });
  return (await controlPlane.policies.setTrafficPolicy({ trafficPolicy })).revision;
}

/** Creates a tenant. */
export async function putTenant(controlPlane: TrafficManagerClient, tenant = 'acme'): Promise<void> {
  await controlPlane.tenants.createTenant({ tenant: message(Tenant, { tenant }) });
}

/** Whether a message ends a watch's snapshot. */
export function endsSnapshot({ event }: WatchResponse): boolean {
  return event?.$case === 'snapshotChunk' && event.value.last;
}

/** Takes a watch's messages until one is as wanted; answers all of them. */
export async function takeUntil(
  messages: AsyncGenerator<WatchResponse, void, void>,
  wanted: (message: WatchResponse) => boolean,
): Promise<WatchResponse[]> {
  const taken: WatchResponse[] = [];
  for (;;) {
    const { value, done } = await messages.next();
    if (done === true) throw new Error(`the watch ended after ${taken.length} messages`);
    taken.push(value);
    if (wanted(value)) return taken;
  }
}
