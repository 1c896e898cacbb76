import { createClient } from '../src/client/create-client.ts';
import { ResolverServiceService } from '../src/gen/trafficmanager/v1/resolver_service.ts';
import { WatchServiceService } from '../src/gen/trafficmanager/v1/watch_service.ts';
import { systemClock, type Clock } from '../src/platform/clock.ts';
import { addHealth, addReflection, type Health } from '../src/platform/grpc/standard-services.ts';
import type { Logger } from '../src/platform/logger.ts';
import { systemRandom, type Random } from '../src/platform/random.ts';
import { afterSockets } from '../src/platform/turns.ts';
import { resolverHandlers } from '../src/serving/resolver-service.ts';
import { serviceOptions } from '../src/serving/service-options.ts';
import { watchHandlers } from '../src/serving/watch-service.ts';
import type { SidecarConfig } from './config.ts';
import { createFront } from './front/create-front.ts';
import { createAskControlPlane } from './lookup/ask-control-plane.ts';
import { SidecarResolver } from './lookup/sidecar-resolver.ts';
import { SidecarWatchSource } from './lookup/sidecar-watch-source.ts';
import { SnapshotMemory } from './snapshot/snapshot-memory.ts';
import { ControlPlaneSource } from './sync/control-plane-source.ts';
import { Subscriptions } from './sync/subscriptions.ts';
import { TenantSync } from './sync/tenant-sync.ts';

/** A sidecar that serves; disposing stops it in order. */
export type Sidecar = AsyncDisposable & {
  /** Where gRPC listens, with real ports. */
  readonly addresses: readonly string[];
};

/** What a sidecar takes from the machine; tests give others. */
export type Surroundings = { readonly clock: Clock; readonly random: Random };

/** Builds and starts a sidecar: the one place that knows all its parts. */
export async function startSidecar(
  config: SidecarConfig,
  logger: Logger,
  { clock, random }: Surroundings = { clock: systemClock, random: systemRandom },
): Promise<Sidecar> {
  await using started = new AsyncDisposableStack();
  const memory = new SnapshotMemory({ bytesMax: config.memoryBytesMax });
  const sourceClient = started.use(createClient({ address: config.source }));
  const controlPlane = started.use(createClient({ address: config.controlPlane }));
  const source = new ControlPlaneSource(sourceClient, clock);
  const subscriptions = started.use(
    new Subscriptions({
      scope: config.scope,
      start: (tenant) => new TenantSync({ tenant, memory: memory.tenant(tenant), source, clock, random, logger }),
      release: (tenant) => memory.release(tenant),
      clock,
    }),
  );

  const { front: kind, drainMs } = config;
  const front = started.use(createFront({ kind, drainMs, clock, schedule: afterSockets }));
  const options = serviceOptions({ logger, draining: front.draining });
  const askControlPlane = createAskControlPlane({ client: controlPlane, clock, logger });
  front.serve(
    ResolverServiceService,
    resolverHandlers(new SidecarResolver({ subscriptions, askControlPlane, clock, random })),
    options,
  );
  front.serve(
    WatchServiceService,
    watchHandlers({
      source: new SidecarWatchSource(subscriptions, clock),
      clock,
      schedule: afterSockets,
      stallMsMax: config.watchStallMsMax,
      watchersMax: config.watchersMax,
      // The quotas of tenants are the control plane's: the apps beside a sidecar share what it has.
      watchersMaxOf: () => config.watchersMax,
    }),
    options,
  );
  addReflection(front.library);
  const health = addHealth(front.library, ['trafficmanager.v1.ResolverService', 'trafficmanager.v1.WatchService']);
  announceReadiness(subscriptions, health, front.draining);

  const wanted = [config.address, config.socketPath === undefined ? undefined : `unix:${config.socketPath}`];
  const addresses: string[] = [];
  for (const address of wanted) if (address !== undefined) addresses.push(await front.listen(address));
  const stack = started.move();
  return { addresses, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/**
 * Ready: every tenant of the scope has a snapshot (or is known not to exist), until the server shuts down. Staleness is told
 * by every answer, not by this.
 */
function announceReadiness(subscriptions: Subscriptions, health: Health, draining: AbortSignal): void {
  const waiting = new Set(subscriptions.all());
  const listening = new DisposableStack();
  const look = (): void => {
    for (const sync of waiting)
      if (sync.memory.tenant !== undefined || sync.state.kind === 'absent') waiting.delete(sync);
    if (waiting.size > 0) return;
    listening.dispose();
    health.set(true);
  };
  draining.addEventListener('abort', () => {
    listening.dispose();
    health.set(false);
  });
  for (const sync of waiting) listening.use(sync.subscribe(look));
  look();
}
