import { controlPlaneGuard } from '../../sidecar/limits.ts';
import { ChangeWindow } from '../../src/domain/change-window.ts';
import { DomainError } from '../../src/domain/domain-error.ts';
import { ResolverServiceService } from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { WatchServiceService } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import { systemClock as clock } from '../../src/platform/clock.ts';
import { createGrpcServer } from '../../src/platform/grpc/server.ts';
import { bindService } from '../../src/platform/grpc/service.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { afterSockets } from '../../src/platform/turns.ts';
import { resolverHandlers, type Resolver } from '../../src/serving/resolver-service.ts';
import { serviceOptions } from '../../src/serving/service-options.ts';
import { watchHandlers } from '../../src/serving/watch-service.ts';
import type { WatchedTenant } from '../../src/serving/watch-source.ts';
import { createRoute, exampleKey } from './example-configuration.ts';
import { SidecarHistory } from './sidecar-history.ts';

/** What it does with a lookup; `slow`: it answers, far later than it should and sooner than its callers give up. */
export type Conduct = 'answers' | 'refuses' | 'hangs' | 'slow';

const slowMs = controlPlaneGuard.timeoutMs / 4;

/** A control plane over a made-up tenant, `acme`, with one route: `cart`. Watches always work; lookups do as the test has it. */
export interface FakeControlPlane extends AsyncDisposable {
  readonly address: string;
  conduct: Conduct;
  /** Lookups that have reached it. */
  readonly lookups: number;
  /** The same by service: those of whoever asks for each only once tell its retries. */
  readonly attempts: ReadonlyMap<string, number>;
}

export async function startFakeControlPlane(): Promise<FakeControlPlane> {
  const history = new SidecarHistory('acme');
  history.commit(createRoute(exampleKey('v1')));
  const [route] = history.snapshot().routes;
  if (route === undefined) throw new Error('there is one');
  const window = new ChangeWindow(history.position, { changesMax: 10, bytesMax: 10_000 });
  const tenant: WatchedTenant = {
    window,
    position: window.end,
    state: history.state,
    stalenessMs: () => 0,
    subscribe: () => ({ [Symbol.dispose]: () => {} }),
  };
  const attempts = new Map<string, number>();
  const state = { conduct: 'answers' as Conduct, lookups: 0, attempts };
  const resolver: Resolver = {
    resolve: async ({ service, environment, version }, _consistency, { signal }) => {
      state.lookups++;
      attempts.set(service, (attempts.get(service) ?? 0) + 1);
      if (state.conduct === 'slow') await clock.sleep(slowMs, signal);
      if (state.conduct === 'hangs') await new Promise((resolve) => signal.addEventListener('abort', resolve));
      if (state.conduct === 'refuses') throw new DomainError('DATABASE_UNAVAILABLE', 'as the test has it');
      const key = { tenant: 'acme', service, environment, version };
      const freshness = { source: 'SNAPSHOT', revision: 2, stalenessMs: 0, stale: false } as const;
      return { resolution: { route: { ...route, key }, policy: undefined, reason: 'KEY' }, freshness };
    },
  };
  const grpc = createGrpcServer({ drainMs: 0 });
  const options = serviceOptions({ logger: createLogger('fake', 'silent'), draining: grpc.draining });
  const watch = watchHandlers({
    source: {
      open: () => Promise.resolve(tenant),
      find: () => Promise.resolve(tenant),
      older: () => Promise.resolve([]),
    },
    clock,
    schedule: afterSockets,
    stallMsMax: 30_000,
    watchersMax: 100,
    watchersMaxOf: () => 100,
  });
  for (const { definition, implementation } of [
    bindService(ResolverServiceService, resolverHandlers(resolver, clock), options),
    bindService(WatchServiceService, watch, options),
  ])
    grpc.server.addService(definition, implementation);
  const address = await grpc.listen('127.0.0.1:0');
  return Object.assign(state, { address, [Symbol.asyncDispose]: () => grpc[Symbol.asyncDispose]() });
}
