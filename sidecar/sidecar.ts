import { createServiceClient } from '../src/client/service-client.ts';
import { createTransport, type Transport } from '../src/client/transport.ts';
import { ResolverServiceService } from '../src/gen/trafficmanager/v1/resolver_service.ts';
import { SidecarServiceService } from '../src/gen/trafficmanager/v1/sidecar_service.ts';
import { UsageServiceService } from '../src/gen/trafficmanager/v1/usage_service.ts';
import { WatchServiceService } from '../src/gen/trafficmanager/v1/watch_service.ts';
import { SettingError } from '../src/platform/environment.ts';
import { systemClock, type Clock } from '../src/platform/clock.ts';
import type { ServiceOptions } from '../src/platform/grpc/service.ts';
import { addHealth, type Health } from '../src/platform/grpc/health.ts';
import { addReflection } from '../src/platform/grpc/add-reflection.ts';
import type { Logger } from '../src/platform/logger.ts';
import { newId, systemRandom, type Random } from '../src/platform/random.ts';
import { afterSockets } from '../src/platform/turns.ts';
import { resolverInstants } from '../src/serving/instant-answers.ts';
import { resolverHandlers } from '../src/serving/resolver-service.ts';
import { serviceOptions } from '../src/serving/service-options.ts';
import { watchHandlers } from '../src/serving/watch-service.ts';
import { sidecarHandlers } from './admin/sidecar-service.ts';
import { sourceKind, type SidecarConfig } from './config.ts';
import { createFront } from './front/create-front.ts';
import { tokenGuard } from './front/token-guard.ts';
import type { Front } from './front/front.ts';
import type { BreakerState } from './guard/circuit-breaker.ts';
import { LookupAdmission } from './guard/lookup-admission.ts';
import { RetryBudget } from './guard/retry-budget.ts';
import { controlPlaneGuard, sidecarLimits } from './limits.ts';
import { createAskControlPlane } from './lookup/ask-control-plane.ts';
import { MemoryAnswers } from './lookup/memory-answers.ts';
import { RememberedAnswers } from './lookup/remembered-answers.ts';
import { SidecarResolver } from './lookup/sidecar-resolver.ts';
import { SidecarWatchSource } from './lookup/sidecar-watch-source.ts';
import { readTlsIdentity } from './remote-access.ts';
import { prepareDefaultSocket } from './socket-setting.ts';
import { restoreMemories } from './snapshot/restore-memories.ts';
import { SnapshotFiles } from './snapshot/snapshot-files.ts';
import { SnapshotMemory } from './snapshot/snapshot-memory.ts';
import { SnapshotSaver } from './snapshot/snapshot-saver.ts';
import type { ChangeSource } from './sync/change-source.ts';
import { ControlPlaneSource } from './sync/control-plane-source.ts';
import { Subscriptions } from './sync/subscriptions.ts';
import { watchLazily } from './sync/watch-lazily.ts';
import { TenantSync } from './sync/tenant-sync.ts';
import { countAnswers } from './usage/count-answers.ts';
import { LookupUsage } from './usage/lookup-usage.ts';
import { createSendUsage } from './usage/send-usage.ts';
import { UsageReporter } from './usage/usage-reporter.ts';

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
  surroundings: Surroundings = { clock: systemClock, random: systemRandom },
): Promise<Sidecar> {
  const tls = config.tls && (await readTlsIdentity(config.tls));
  await using started = new AsyncDisposableStack();
  const following = await startFollowing(started, config, { ...surroundings, logger });
  const { subscriptions } = following;
  const { front: kind, drainDelayMs, drainMs } = config;
  const onRefused = (refused: number): void => logger.warn({ refused }, 'refused connections: there are too many');
  const { clock } = surroundings;
  const drain = { drainDelayMs, drainMs };
  const front = started.use(await createFront({ kind, ...drain, clock, schedule: afterSockets, onRefused }));
  const options = serviceOptions({ logger, draining: front.draining });
  serveOn(front, config, { ...surroundings, ...following, options });
  addReflection(front.library);
  announceReadiness(subscriptions, addHealth(front.library, servedServices, front), front.leaving);

  const { address, token, socketGroupId: groupId } = config;
  const socketPath = await usableSocketPath(config, logger);
  const guard = token === undefined ? undefined : tokenGuard(token, options);
  const addresses: string[] = [];
  if (address !== undefined) addresses.push(await front.listen(address, { tls, guard }));
  if (socketPath !== undefined) addresses.push(await front.listen(`unix:${socketPath}`, { groupId }));
  const stack = started.move();
  return { addresses, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** The path of the socket, in a directory that is there; undefined: there is to be none, or the default one cannot be had. */
async function usableSocketPath(
  { address, socketPath, isDefaultSocket }: SidecarConfig,
  logger: Logger,
): Promise<string | undefined> {
  if (socketPath === undefined || !isDefaultSocket) return socketPath;
  const problem = await prepareDefaultSocket(socketPath);
  if (problem === undefined) return socketPath;
  if (address === undefined)
    throw new SettingError(`TM_SIDECAR_ADDRESS=off leaves the socket alone, and ${problem}: set TM_SIDECAR_SOCKET`);
  logger.info({ why: problem }, 'no unix socket; set TM_SIDECAR_SOCKET to a path, or to off if none is wanted');
  return undefined;
}

const servedServices = ['ResolverService', 'WatchService', 'SidecarService'].map((name) => `trafficmanager.v1.${name}`);

/** What the sidecar knows, and keeps up to date from now on. */
type Following = {
  readonly subscriptions: Subscriptions;
  readonly memory: SnapshotMemory;
  readonly remembered: RememberedAnswers;
  readonly breakers: ReadonlyMap<string, BreakerState>;
  /** Undefined: lookups are not counted. */
  readonly usage: LookupUsage | undefined;
};

async function startFollowing(
  started: AsyncDisposableStack,
  config: SidecarConfig,
  { clock, random, logger }: Surroundings & { readonly logger: Logger },
): Promise<Following> {
  const source = await openSource(config, { started, clock, random, logger });
  const controlPlane = started.use(createTransport({ address: config.controlPlane }));
  const usage = startCounting(config, { started, controlPlane, clock, random, logger });
  const breakers = new Map<string, BreakerState>([['control-plane', 'closed']]);
  const ask = createAskControlPlane({
    client: { resolver: createServiceClient(controlPlane, ResolverServiceService) },
    clock,
    random,
    budget: new RetryBudget(controlPlaneGuard.retryBudget),
    logger,
    onBreakerState: (state) => breakers.set('control-plane', state),
  });
  const remembered = new RememberedAnswers({ ask, clock });
  const { services } = config.scope;
  const memory = new SnapshotMemory({
    bytesMax: config.memoryBytesMax,
    services,
    onUnheldChange: (tenant, group, revision) => remembered.changed(tenant, group, revision),
  });
  const disk = await openDisk(config, { memory, clock, logger });
  const saver = disk && started.use(new SnapshotSaver({ files: disk.files, clock, logger }));
  const start = (tenant: string): TenantSync => {
    const restoredStalenessMs = disk?.restored.get(tenant);
    const parts = { memory: memory.tenant(tenant), source, clock, random, logger };
    const sync = new TenantSync({ tenant, ...parts, restoredStalenessMs });
    saver?.add(sync);
    whenLiveAgain(sync, () => remembered.warm(tenant));
    return sync;
  };
  const release = (tenant: string): void => {
    memory.release(tenant);
    saver?.remove(tenant);
  };
  const subscriptions = started.use(new Subscriptions({ scope: config.scope, start, release, clock }));
  // Those of before are followed again, so that what is known of them is not for ever as old as their files.
  for (const tenant of disk?.restored.keys() ?? []) subscriptions.find(tenant);
  return { subscriptions, memory, remembered, breakers, usage };
}

/** Counts lookups and reports them, as long as the front serves and once after that. */
function startCounting(
  { usageReportIntervalMs: intervalMs }: SidecarConfig,
  { started, controlPlane, ...parts }: CountingParts,
): LookupUsage | undefined {
  if (intervalMs === 0) return undefined;
  const usage = new LookupUsage();
  const client = createServiceClient(controlPlane, { reportUsage: UsageServiceService.reportUsage });
  const send = createSendUsage(client);
  started.use(new UsageReporter({ usage, send, sidecarId: newId(), intervalMs, ...parts }).start());
  return usage;
}

type CountingParts = Surroundings & {
  readonly started: AsyncDisposableStack;
  readonly controlPlane: Transport;
  readonly logger: Logger;
};

function serveOn(
  front: Front,
  config: SidecarConfig,
  parts: Following & Surroundings & { readonly options: ServiceOptions },
): void {
  const { subscriptions, remembered, usage, clock, random, options } = parts;
  const admission = new LookupAdmission(sidecarLimits.admission);
  const resolver = new SidecarResolver({ subscriptions, askControlPlane: remembered.ask, admission, clock, random });
  const instants = resolverInstants(new MemoryAnswers({ subscriptions, random, usage }), clock);
  const watch = watchHandlers({
    source: new SidecarWatchSource(subscriptions, clock),
    clock,
    schedule: afterSockets,
    stallMsMax: config.watchStallMsMax,
    watchersMax: config.watchersMax,
    // The quotas of tenants are the control plane's: the apps beside a sidecar share what it has.
    watchersMaxOf: () => config.watchersMax,
  });
  const residentBytes = (): number => process.memoryUsage.rss();
  const counted = usage === undefined ? resolver : countAnswers(resolver, usage);
  front.serve(ResolverServiceService, resolverHandlers(counted, clock), { ...options, instants });
  front.serve(WatchServiceService, watch, options);
  front.serve(SidecarServiceService, sidecarHandlers({ config, admission, residentBytes, ...parts }), options);
}

/** The source that the configuration names, by its scheme. */
async function openSource(
  { source: url, scope }: SidecarConfig,
  { started, clock, random, logger }: Surroundings & { started: AsyncDisposableStack; logger: Logger },
): Promise<ChangeSource> {
  if (sourceKind(url) === 'grpc') {
    // Not the whole client: it loads the messages of all services, and a sidecar calls two.
    const transport = started.use(createTransport({ address: url }));
    const { getPosition } = createServiceClient(transport, { getPosition: WatchServiceService.getPosition });
    const client = { watch: watchLazily(transport), getPosition };
    return new ControlPlaneSource(client, { clock, random, schedule: afterSockets, services: scope.services });
  }
  // Loaded here (decision 0013): NATS's client costs every start what only this kind of source needs.
  const { openNatsSource } = await import('./sync/open-nats-source.ts');
  return openNatsSource({ url, started, clock, random, schedule: afterSockets, logger });
}

/** Calls back each time that a source which was cut off is there again. */
function whenLiveAgain(sync: TenantSync, back: () => void): void {
  let before = sync.state.kind;
  sync.subscribe(() => {
    if (before === 'stale' && sync.state.kind === 'live') back();
    before = sync.state.kind;
  });
}

/** The state directory, and what it knew: read before anything else is asked. */
async function openDisk(
  { stateDirectory, scope }: SidecarConfig,
  parts: { readonly memory: SnapshotMemory; readonly clock: Clock; readonly logger: Logger },
): Promise<{ files: SnapshotFiles; restored: ReadonlyMap<string, number> } | undefined> {
  if (stateDirectory === undefined) return undefined;
  const files = new SnapshotFiles({ directory: stateDirectory, logger: parts.logger, processId: process.pid });
  try {
    return { files, restored: await restoreMemories({ ...parts, files, scope }) };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SettingError(`TM_SIDECAR_STATE_DIR=${stateDirectory} cannot be used: ${why}`, { cause: error });
  }
}

/**
 * Ready: every tenant of the scope has a snapshot (or is known not to exist), until the server shuts down. Staleness is told
 * by every answer, not by this.
 */
function announceReadiness(subscriptions: Subscriptions, health: Health, leaving: AbortSignal): void {
  const waiting = new Set(subscriptions.all());
  const listening = new DisposableStack();
  const look = (): void => {
    for (const sync of waiting)
      if (sync.memory.tenant !== undefined || sync.state.kind === 'absent') waiting.delete(sync);
    if (waiting.size > 0) return;
    listening.dispose();
    health.set(true);
  };
  leaving.addEventListener('abort', () => listening.dispose());
  for (const sync of waiting) listening.use(sync.subscribe(look));
  look();
}
