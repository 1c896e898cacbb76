import { Environment } from './platform/environment.ts';
import { logLevels, type LogLevel } from './platform/logger.ts';

/** Everything a control-plane process is told from outside, read once. */
export type ControlPlaneConfig = {
  /** `DATABASE_URL`: required. */
  readonly databaseUrl: string;
  /** `TM_DATABASE_POOL_SIZE`: connections, 2 to 100; 10. One more listens for wake-ups. */
  readonly databasePoolSize: number;
  /** `TM_DATABASE_TIMEOUT_MS`: a statement or a connection that takes longer fails, 100 to 60,000; 5,000. */
  readonly databaseTimeoutMs: number;
  /** `TM_CONTROL_PLANE_ADDRESS`: where gRPC listens; 127.0.0.1:7400. */
  readonly address: string;
  /** `TM_ADMIN_TOKEN`: what administrators send as `authorization: Bearer`, 16 characters at least; not set: everybody is one. */
  readonly administratorToken: string | undefined;
  /** `TM_SHRINK_PERCENT`: share of a tenant's ACTIVE routes that one unforced write may take out of use, 0 to 100; 20. */
  readonly shrinkPercentMax: number;
  /** `TM_SHRINK_ROUTES`: so many it may always, 0 to 10,000; 10. */
  readonly shrinkRoutesMin: number;
  /** `TM_WATCHERS_MAX`: watches at a time, all tenants together, 0 to 1,000,000; 20,000. */
  readonly watchersMax: number;
  /** `TM_WATCH_STALL_MS`: a watch that takes nothing for so long while something waits for it is cut off, 100 to 600,000; 30,000. */
  readonly watchStallMsMax: number;
  /**
   * `TM_CHANGE_RETENTION_DAYS`: how long changes are kept at least, 1 to 3,650; 30. Not less than a day, because the replies
   * that are kept for 24 hours are rebuilt from them.
   */
  readonly changeRetentionDays: number;
  /** `TM_NATS_URL`: where the change streams are published, `nats://user:password@host:4222`; not set: nowhere. */
  readonly natsUrl: string | undefined;
  /** `TM_TOMBSTONE_HOURS`: how long the streams keep what was deleted, 1 to 8,760; 24. Who sleeps longer takes everything anew. */
  readonly tombstoneHours: number;
  /** `TM_RECONCILE_MINUTES`: how often every stream is compared with Postgres, entry by entry, 1 to 1,440; 15. */
  readonly reconcileMinutes: number;
  /** `TM_METRICS_ADDRESS`: where Prometheus finds `/metrics`, over HTTP; not set: nowhere. */
  readonly metricsAddress: string | undefined;
  /**
   * `TM_DRAIN_DELAY_MS`: how long it serves as before after SIGTERM, and says that it is not ready, so that load balancers send nothing
   * more, 0 to 600,000; 0.
   */
  readonly drainDelayMs: number;
  /** `TM_DRAIN_MS`: how long calls under way may take after that, 0 to 600,000; 5,000. */
  readonly drainMs: number;
  /** `TM_LOG_LEVEL`: trace, debug, info, warn, error or silent; info. */
  readonly logLevel: LogLevel;
};

/** Reads the environment; throws a SettingError that names the variable. */
export function readControlPlaneConfig(variables: NodeJS.ProcessEnv): ControlPlaneConfig {
  const environment = new Environment(variables);
  const example = 'postgres://user:password@127.0.0.1:5432/traffic_manager';
  return {
    databaseUrl: environment.url('DATABASE_URL', {
      value: environment.required('DATABASE_URL', example),
      protocols: ['postgres', 'postgresql'],
      example,
    }),
    databasePoolSize: environment.integer('TM_DATABASE_POOL_SIZE', { fallback: 10, min: 2, max: 100 }),
    databaseTimeoutMs: environment.integer('TM_DATABASE_TIMEOUT_MS', { fallback: 5_000, min: 100, max: 60_000 }),
    address: environment.address('TM_CONTROL_PLANE_ADDRESS', '127.0.0.1:7400'),
    administratorToken: environment.secret('TM_ADMIN_TOKEN'),
    shrinkPercentMax: environment.integer('TM_SHRINK_PERCENT', { fallback: 20, min: 0, max: 100 }),
    shrinkRoutesMin: environment.integer('TM_SHRINK_ROUTES', { fallback: 10, min: 0, max: 10_000 }),
    watchersMax: environment.integer('TM_WATCHERS_MAX', { fallback: 20_000, min: 0, max: 1_000_000 }),
    watchStallMsMax: environment.integer('TM_WATCH_STALL_MS', { fallback: 30_000, min: 100, max: 600_000 }),
    changeRetentionDays: environment.integer('TM_CHANGE_RETENTION_DAYS', { fallback: 30, min: 1, max: 3_650 }),
    natsUrl: natsUrlFrom(environment),
    tombstoneHours: environment.integer('TM_TOMBSTONE_HOURS', { fallback: 24, min: 1, max: 8_760 }),
    reconcileMinutes: environment.integer('TM_RECONCILE_MINUTES', { fallback: 15, min: 1, max: 1_440 }),
    metricsAddress:
      environment.optional('TM_METRICS_ADDRESS') && environment.address('TM_METRICS_ADDRESS', '127.0.0.1:9464'),
    drainDelayMs: environment.integer('TM_DRAIN_DELAY_MS', { fallback: 0, min: 0, max: 600_000 }),
    drainMs: environment.integer('TM_DRAIN_MS', { fallback: 5_000, min: 0, max: 600_000 }),
    logLevel: environment.oneOf('TM_LOG_LEVEL', logLevels, 'info'),
  };
}

function natsUrlFrom(environment: Environment): string | undefined {
  const value = environment.optional('TM_NATS_URL');
  return value && environment.url('TM_NATS_URL', { value, protocols: ['nats'], example: 'nats://127.0.0.1:4222' });
}
