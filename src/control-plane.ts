import { Admission } from './app/admission.ts';
import { HistoryRetention } from './app/history-retention.ts';
import { Leadership } from './app/relay/leadership.ts';
import { relayLimits } from './app/relay/limits.ts';
import { relayMetrics } from './app/relay/relay-metrics.ts';
import { Relay } from './app/relay/relay.ts';
import { streamStatus, type StreamStatusSource } from './app/relay/stream-status.ts';
import { Replica } from './app/replica.ts';
import { ReplicaResolver } from './app/replica-resolver.ts';
import { ReplicaWatchSource } from './app/replica-watch-source.ts';
import { Writer } from './app/writer.ts';
import type { ControlPlaneConfig } from './config.ts';
import { quotasOf } from './domain/tenant.ts';
import { ChangeServiceService } from './gen/trafficmanager/v1/change_service.ts';
import { ChangeStreamServiceService } from './gen/trafficmanager/v1/change_stream_service.ts';
import { ResolverServiceService } from './gen/trafficmanager/v1/resolver_service.ts';
import { RouteServiceService } from './gen/trafficmanager/v1/route_service.ts';
import { TenantServiceService } from './gen/trafficmanager/v1/tenant_service.ts';
import { TrafficPolicyServiceService } from './gen/trafficmanager/v1/traffic_policy_service.ts';
import { UsageServiceService } from './gen/trafficmanager/v1/usage_service.ts';
import { WatchServiceService } from './gen/trafficmanager/v1/watch_service.ts';
import { administratorBy } from './inbound/grpc/administrator.ts';
import { changeHandlers } from './inbound/grpc/change-service.ts';
import { changeStreamHandlers } from './inbound/grpc/change-stream-service.ts';
import { routeHandlers } from './inbound/grpc/route-service.ts';
import { tenantHandlers } from './inbound/grpc/tenant-service.ts';
import { trafficPolicyHandlers } from './inbound/grpc/traffic-policy-service.ts';
import { usageHandlers } from './inbound/grpc/usage-service.ts';
import { createWrites } from './inbound/grpc/write-call.ts';
import { NatsChangeStream } from './outbound/nats/nats-change-stream.ts';
import { Database } from './outbound/postgres/database.ts';
import { migrate } from './outbound/postgres/migrate.ts';
import { PostgresChangeHistory } from './outbound/postgres/postgres-change-history.ts';
import { PostgresChangeRetention } from './outbound/postgres/postgres-change-retention.ts';
import { PostgresChangeSignal } from './outbound/postgres/postgres-change-signal.ts';
import { PostgresConfigurationStore } from './outbound/postgres/postgres-configuration-store.ts';
import { PostgresLookupUsage } from './outbound/postgres/postgres-lookup-usage.ts';
import { PostgresRelayLease } from './outbound/postgres/postgres-relay-lease.ts';
import { PostgresStreamRecords } from './outbound/postgres/postgres-stream-records.ts';
import { systemClock as clock } from './platform/clock.ts';
import { newId, systemRandom as random } from './platform/random.ts';
import { createGrpcServer } from './platform/grpc/server.ts';
import { bindService } from './platform/grpc/service.ts';
import { addHealth } from './platform/grpc/health.ts';
import { addReflection } from './platform/grpc/add-reflection.ts';
import type { Logger } from './platform/logger.ts';
import { connectNats } from './platform/nats/connect-nats.ts';
import { serveMetrics } from './platform/metrics-server.ts';
import { afterSockets } from './platform/turns.ts';
import { createRateLimits } from './platform/rate-limits.ts';
import { resolverHandlers, type Resolver } from './serving/resolver-service.ts';
import { serviceOptions } from './serving/service-options.ts';
import { watchHandlers } from './serving/watch-service.ts';

/** A control plane that serves; disposing stops it in order. */
export type ControlPlane = AsyncDisposable & {
  /** Where gRPC listens, with its real port. */
  readonly address: string;
};

/** Builds and starts a control plane: the one place that knows all its parts. Stops what it has started when a later part fails. */
export async function startControlPlane(config: ControlPlaneConfig, logger: Logger): Promise<ControlPlane> {
  await using started = new AsyncDisposableStack();
  const database = started.use(openDatabase(config, logger));
  await applyMigrations(database, logger);
  const store = new PostgresConfigurationStore(database);
  const replicaId = newId();
  const signal = started.use(new PostgresChangeSignal({ replicaId, database, clock, random, logger }));
  const replica = started.use(new Replica({ store, signal, clock, logger }));
  await replica.start();
  const history = new PostgresChangeHistory({ database, clock });
  startRetention({ config, database, logger }, started);
  const publishing = startRelay({ config, replicaId, replica, store, database, logger }, started);

  if (config.metricsAddress !== undefined) await startMetrics(config.metricsAddress, publishing, { started, logger });

  const grpc = started.use(createGrpcServer({ drainDelayMs: config.drainDelayMs, drainMs: config.drainMs }));
  const admission = new Admission(replica, createRateLimits());
  const { write, firstReply } = createWrites({
    writer: new Writer({ replica, store, history, signal, clock, random }),
    admission,
    newCommitId: newId,
    shrinkProtection: { kind: 'limited', sharePercentMax: config.shrinkPercentMax, routesMin: config.shrinkRoutesMin },
  });
  const resolver = new ReplicaResolver({ replica, history, clock, random });
  const requireAdministrator = administratorBy(config.administratorToken);
  const options = serviceOptions({ logger, draining: grpc.draining });
  for (const { definition, implementation } of [
    bindService(RouteServiceService, routeHandlers({ write, firstReply, store, history }), options),
    bindService(TrafficPolicyServiceService, trafficPolicyHandlers({ write, store }), options),
    bindService(TenantServiceService, tenantHandlers({ write, store, requireAdministrator }), options),
    bindService(ResolverServiceService, resolverHandlers(admitting(resolver, admission), clock), options),
    bindService(ChangeServiceService, changeHandlers(history), options),
    bindService(UsageServiceService, usageHandlers({ usage: new PostgresLookupUsage(database), admission }), options),
    bindService(
      ChangeStreamServiceService,
      changeStreamHandlers({ replicaId, statusOf: (tenant) => streamStatus(replica, publishing, tenant) }),
      options,
    ),
    bindService(
      WatchServiceService,
      watchHandlers({
        source: new ReplicaWatchSource(replica, store),
        clock,
        schedule: afterSockets,
        stallMsMax: config.watchStallMsMax,
        watchersMax: config.watchersMax,
        watchersMaxOf: (tenant) => quotasOf(replica.find(tenant)?.state.tenant ?? { quotas: {} }).watchersMax,
      }),
      options,
    ),
  ]) {
    grpc.server.addService(definition, implementation);
  }
  addReflection(grpc.server);
  const health = addHealth(grpc.server, servedServices, grpc);
  const address = await grpc.listen(config.address);
  health.set(true);
  const stack = started.move();
  return { address, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

function openDatabase(config: ControlPlaneConfig, logger: Logger): Database {
  return new Database({
    url: config.databaseUrl,
    poolSize: config.databasePoolSize,
    statementTimeoutMs: config.databaseTimeoutMs,
    responseTimeoutMs: config.databaseTimeoutMs,
    onIdleError: (error) => logger.warn({ error }, 'lost an idle database connection'),
  });
}

async function startMetrics(
  address: string,
  publishing: StreamStatusSource | undefined,
  { started, logger }: { readonly started: AsyncDisposableStack; readonly logger: Logger },
): Promise<void> {
  const metrics = publishing === undefined ? [] : relayMetrics(publishing.relay);
  const { url } = started.use(await serveMetrics(address, metrics));
  logger.info({ url }, 'the control plane serves metrics');
}

type RetentionParts = {
  readonly config: ControlPlaneConfig;
  readonly database: Database;
  readonly logger: Logger;
};

/** A resolver within the quotas of the tenants. */
function admitting(resolver: Resolver, admission: Admission): Resolver {
  return {
    resolve: async (lookup, consistency, context) => {
      await admission.admitLookups(lookup.tenant, 1);
      return resolver.resolve(lookup, consistency, context);
    },
  };
}

/** Removes old changes now and then. */
function startRetention({ config, database, logger }: RetentionParts, started: AsyncDisposableStack): void {
  const keepMs = config.changeRetentionDays * dayMs;
  const retention = new PostgresChangeRetention(database);
  started.use(new HistoryRetention({ retention, keepMs, clock, random, logger })).start();
}

type RelayParts = {
  readonly config: ControlPlaneConfig;
  readonly replicaId: string;
  readonly replica: Replica;
  readonly store: PostgresConfigurationStore;
  readonly database: Database;
  readonly logger: Logger;
};

/** Publishes the changes on NATS, whenever that can be reached: the control plane serves without it. */
function startRelay(parts: RelayParts, started: AsyncDisposableStack): StreamStatusSource | undefined {
  const { config, replicaId, replica, store, database, logger } = parts;
  if (config.natsUrl === undefined) return undefined;
  const { leaseTtlMs: ttlMs, leaseAnswerMsMax: answerMsMax } = relayLimits;
  const lease = started.use(new PostgresRelayLease({ database, clock, ttlMs, answerMsMax }));
  const leadership = started.use(new Leadership({ lease, holder: replicaId, clock, logger }));
  const link = started.use(connectNats({ url: config.natsUrl, name: `control-plane ${replicaId}`, logger }));
  const stream = new NatsChangeStream(link);
  const records = new PostgresStreamRecords(database);
  const relay = started.use(
    new Relay({
      replica,
      store,
      stream,
      leadership,
      records,
      newEpoch: newId,
      tombstoneKeepMs: config.tombstoneHours * hourMs,
      reconcileIntervalMs: config.reconcileMinutes * minuteMs,
      clock,
      random,
      logger,
    }),
  );
  relay.start();
  return { relay, stream, leadership, records };
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

const servedServices = [
  'RouteService',
  'TrafficPolicyService',
  'TenantService',
  'ResolverService',
  'ChangeService',
  'ChangeStreamService',
  'UsageService',
  'WatchService',
].map((name) => `trafficmanager.v1.${name}`);

async function applyMigrations(database: Database, logger: Logger): Promise<void> {
  const client = await database.connectDedicated();
  try {
    const applied = await migrate(client);
    if (applied.length > 0) logger.info({ applied }, 'migrated the database');
  } finally {
    await client.end();
  }
}
