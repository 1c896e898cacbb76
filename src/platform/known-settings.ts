import { suggestion } from './closest-name.ts';
import type { Logger } from './logger.ts';

/** Every variable of ours, whichever program reads it: an environment may hold those of several. */
export const knownSettings = [
  'TM_ADMIN_TOKEN',
  'TM_CHANGE_RETENTION_DAYS',
  'TM_CONTROL_PLANE_ADDRESS',
  'TM_DATABASE_POOL_SIZE',
  'TM_DATABASE_TIMEOUT_MS',
  'TM_DRAIN_DELAY_MS',
  'TM_DRAIN_MS',
  'TM_LOG_LEVEL',
  'TM_METRICS_ADDRESS',
  'TM_NATS_URL',
  'TM_RECONCILE_MINUTES',
  'TM_SHRINK_PERCENT',
  'TM_SHRINK_ROUTES',
  'TM_SIDECAR_ADDRESS',
  'TM_SIDECAR_CONTROL_PLANE',
  'TM_SIDECAR_MEMORY_MIB',
  'TM_SIDECAR_REMOTE',
  'TM_SIDECAR_SERVICES',
  'TM_SIDECAR_SOCKET',
  'TM_SIDECAR_SOCKET_GROUP',
  'TM_SIDECAR_SOURCE',
  'TM_SIDECAR_STATE_DIR',
  'TM_SIDECAR_TENANTS',
  'TM_SIDECAR_TLS_CERT',
  'TM_SIDECAR_TLS_CLIENT_CA',
  'TM_SIDECAR_TLS_KEY',
  'TM_SIDECAR_TOKEN',
  'TM_SIDECAR_WIRE',
  'TM_STATE_DIR',
  'TM_TOMBSTONE_HOURS',
  'TM_USAGE_REPORT_SECONDS',
  'TM_WATCHERS_MAX',
  'TM_WATCH_STALL_MS',
] as const;

/**
 * Says in one line which variables look like ours and are none: a name that is mistyped leaves its setting at its default without a word.
 * Never their values, which may be secrets. No refusal: an orchestrator may set such names for reasons of its own.
 */
export function warnOfUnknownSettings(variables: NodeJS.ProcessEnv, logger: Pick<Logger, 'warn'>): void {
  const known = new Set<string>(knownSettings);
  const unknown = Object.keys(variables).filter((name) => name.startsWith('TM_') && !known.has(name));
  if (unknown.length === 0) return;
  const settings = unknown.toSorted().map((name) => `${name}${suggestion(name, knownSettings)}`);
  logger.warn({ settings }, 'variables that no program here knows are ignored');
}
