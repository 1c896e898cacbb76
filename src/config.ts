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
  /** `TM_DRAIN_MS`: how long calls under way may take after SIGTERM, 0 to 600,000; 5,000. */
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
    drainMs: environment.integer('TM_DRAIN_MS', { fallback: 5_000, min: 0, max: 600_000 }),
    logLevel: environment.oneOf('TM_LOG_LEVEL', logLevels, 'info'),
  };
}
