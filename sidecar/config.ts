import { parseAddress } from '../src/client/address.ts';
import { TrafficManagerError } from '../src/client/traffic-manager-error.ts';
import { limits } from '../src/domain/limits.ts';
import { Environment, SettingError } from '../src/platform/environment.ts';
import { logLevels, type LogLevel } from '../src/platform/logger.ts';
import { frontKinds, type FrontKind } from './front/front.ts';
import { readRemoteAccess, type RemoteAccess } from './remote-access.ts';
import { readSocketSetting, type SocketSetting } from './socket-setting.ts';

/** Which tenants a sidecar holds. */
export type Scope = {
  /** Followed from the start. */
  readonly tenants: readonly string[];
  /** Whether any other tenant is followed from its first lookup on. */
  readonly onDemand: boolean;
  /** The services whose routes are followed; undefined: all. Any other is asked of the control plane, and remembered for a while. */
  readonly services?: ReadonlySet<string> | undefined;
};

/** Everything a sidecar process is told from outside, read once. */
export type SidecarConfig = RemoteAccess &
  SocketSetting & {
    /** `TM_SIDECAR_WIRE`: what speaks gRPC to the apps: `wire`, our own engine, or `grpc-js`, the reference; wire. */
    readonly front: FrontKind;
    /**
     * `TM_SIDECAR_SOURCE`: where changes come from: `nats://host:port` (with `user:password@` where the server wants one) of the change
     * stream, or `grpc://host:port` of a control plane; grpc://127.0.0.1:7400.
     */
    readonly source: string;
    /** `TM_SIDECAR_CONTROL_PLANE`: `host:port` asked for what memory cannot answer; that of a grpc:// source, else 127.0.0.1:7400. */
    readonly controlPlane: string;
    /**
     * `TM_SIDECAR_TENANTS`: names separated by commas; `*` among them allows all others on demand; `*`. `TM_SIDECAR_SERVICES`: names
     * separated by commas, 1,000 at most, of all these tenants; not set: all.
     */
    readonly scope: Scope;
    /** `TM_SIDECAR_STATE_DIR`: where snapshots are kept for the next start (mode 0700, made if absent); not set: nowhere. */
    readonly stateDirectory: string | undefined;
    /** `TM_SIDECAR_MEMORY_MIB`: bound of the held configuration, 1 to 16,384; 64. */
    readonly memoryBytesMax: number;
    /** `TM_WATCHERS_MAX`: watches at a time, 0 to 1,000,000; 1,000. */
    readonly watchersMax: number;
    /** `TM_WATCH_STALL_MS`: a watch that takes nothing for so long while something waits for it is cut off, 100 to 600,000; 30,000. */
    readonly watchStallMsMax: number;
    /** `TM_USAGE_REPORT_SECONDS`: how often the control plane is told what was looked up, 0 to 3,600; 0: not, and nothing is counted; 30. */
    readonly usageReportIntervalMs: number;
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

const sourceExample = 'grpc://127.0.0.1:7400';
const natsExample = 'nats://127.0.0.1:4222';
const controlPlaneExample = '127.0.0.1:7400';
const namePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** Reads the environment; throws a SettingError that names the variable. */
export function readSidecarConfig(variables: NodeJS.ProcessEnv): SidecarConfig {
  const environment = new Environment(variables);
  const source = environment.url('TM_SIDECAR_SOURCE', {
    value: environment.text('TM_SIDECAR_SOURCE', sourceExample),
    protocols: ['grpc', 'nats'],
    example: sourceExample,
  });
  const isGrpc = sourceKind(source) === 'grpc';
  // Not repeated: it may hold a password.
  if (isGrpc ? !canConnectTo(source) : !isNatsUrl(source))
    throw new SettingError(`TM_SIDECAR_SOURCE is not a URL such as ${sourceExample} or ${natsExample}`);
  const controlPlane = environment.address(
    'TM_SIDECAR_CONTROL_PLANE',
    isGrpc ? new URL(source).host : controlPlaneExample,
  );
  if (!canConnectTo(controlPlane))
    throw new SettingError(`TM_SIDECAR_CONTROL_PLANE=${controlPlane} is not an address such as ${controlPlaneExample}`);
  const access = readRemoteAccess(environment);
  const socket = readSocketSetting(environment);
  if (access.address === undefined && socket.socketPath === undefined)
    throw new SettingError('TM_SIDECAR_ADDRESS=off with TM_SIDECAR_SOCKET=off: the sidecar would listen nowhere');
  return {
    ...access,
    ...socket,
    front: environment.oneOf('TM_SIDECAR_WIRE', frontKinds, 'wire'),
    source,
    controlPlane,
    scope: {
      ...scopeFrom(environment.text('TM_SIDECAR_TENANTS', '*')),
      services: servicesFrom(environment.optional('TM_SIDECAR_SERVICES')),
    },
    stateDirectory: environment.optional('TM_SIDECAR_STATE_DIR'),
    memoryBytesMax: environment.integer('TM_SIDECAR_MEMORY_MIB', { fallback: 64, min: 1, max: 16_384 }) * 1024 * 1024,
    watchersMax: environment.integer('TM_WATCHERS_MAX', { fallback: 1_000, min: 0, max: 1_000_000 }),
    watchStallMsMax: environment.integer('TM_WATCH_STALL_MS', { fallback: 30_000, min: 100, max: 600_000 }),
    usageReportIntervalMs: environment.integer('TM_USAGE_REPORT_SECONDS', { fallback: 30, min: 0, max: 3_600 }) * 1_000,
    drainDelayMs: environment.integer('TM_DRAIN_DELAY_MS', { fallback: 0, min: 0, max: 600_000 }),
    drainMs: environment.integer('TM_DRAIN_MS', { fallback: 5_000, min: 0, max: 600_000 }),
    logLevel: environment.oneOf('TM_LOG_LEVEL', logLevels, 'info'),
  };
}

/** What kind of source a URL names. */
export function sourceKind(source: string): 'grpc' | 'nats' {
  return new URL(source).protocol === 'nats:' ? 'nats' : 'grpc';
}

/** A source as it may be shown: without a password. */
export function sourceName(source: string): string {
  const { protocol, host } = new URL(source);
  return `${protocol}//${host}`;
}

/** With a host and a port, and nothing after it. */
function isNatsUrl(source: string): boolean {
  const { hostname, port, pathname, search, hash } = new URL(source);
  return hostname !== '' && port !== '' && `${pathname}${search}${hash}`.replace('/', '') === '';
}

/** Whether the client takes it: with a port, and nothing after it. */
function canConnectTo(address: string): boolean {
  try {
    parseAddress(address);
    return true;
  } catch (error) {
    if (error instanceof TrafficManagerError) return false;
    throw error;
  }
}

function scopeFrom(text: string): Scope {
  const names = text.split(',').map((name) => name.trim());
  const tenants = names.filter((name) => name !== '*');
  const wrong = tenants.find((name) => !namePattern.test(name));
  if (wrong !== undefined)
    throw new SettingError(`TM_SIDECAR_TENANTS holds ${JSON.stringify(wrong)}, which is not a tenant's name or *`);
  return { tenants: [...new Set(tenants)], onDemand: names.includes('*') };
}

function servicesFrom(text: string | undefined): ReadonlySet<string> | undefined {
  if (text === undefined) return undefined;
  const names = text.split(',').map((name) => name.trim());
  const wrong = names.find((name) => !namePattern.test(name));
  if (wrong !== undefined)
    throw new SettingError(`TM_SIDECAR_SERVICES holds ${JSON.stringify(wrong)}, which is not a service's name`);
  if (names.length > limits.watchFiltersMax)
    throw new SettingError(`TM_SIDECAR_SERVICES has more than ${limits.watchFiltersMax} names`);
  return new Set(names);
}
