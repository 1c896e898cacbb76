import { parseAddress } from '../src/client/address.ts';
import { TrafficManagerError } from '../src/client/traffic-manager-error.ts';
import { Environment, SettingError } from '../src/platform/environment.ts';
import { logLevels, type LogLevel } from '../src/platform/logger.ts';
import { frontKinds, type FrontKind } from './front/front.ts';
import { sidecarLimits } from './limits.ts';

/** Which tenants a sidecar holds. */
export type Scope = {
  /** Followed from the start. */
  readonly tenants: readonly string[];
  /** Whether any other tenant is followed from its first lookup on. */
  readonly onDemand: boolean;
};

/** Everything a sidecar process is told from outside, read once. */
export type SidecarConfig = {
  /** `TM_SIDECAR_ADDRESS`: where gRPC listens on loopback; `off`: nowhere; 127.0.0.1:7401. */
  readonly address: string | undefined;
  /** `TM_SIDECAR_SOCKET`: a unix socket (mode 0600) to listen on besides; not set: none. */
  readonly socketPath: string | undefined;
  /** `TM_SIDECAR_WIRE`: what speaks gRPC to the apps: `grpc-js`, the reference, or `wire`, our own engine; grpc-js. */
  readonly front: FrontKind;
  /** `TM_SIDECAR_SOURCE`: where changes come from: `grpc://host:port` of a control plane; grpc://127.0.0.1:7400. */
  readonly source: string;
  /** `TM_SIDECAR_CONTROL_PLANE`: `host:port` asked for what memory cannot answer; that of a grpc:// source. */
  readonly controlPlane: string;
  /** `TM_SIDECAR_TENANTS`: names separated by commas; `*` among them allows all others on demand; `*`. */
  readonly scope: Scope;
  /** `TM_SIDECAR_MEMORY_MIB`: bound of the held configuration, 1 to 65,536; 64. */
  readonly memoryBytesMax: number;
  /** `TM_WATCHERS_MAX`: watches at a time, 0 to 1,000,000; 1,000. */
  readonly watchersMax: number;
  /** `TM_WATCH_STALL_MS`: a watch that takes nothing for so long while something waits for it is cut off, 100 to 600,000; 30,000. */
  readonly watchStallMsMax: number;
  /** `TM_DRAIN_MS`: how long calls under way may take after SIGTERM, 0 to 600,000; 5,000. */
  readonly drainMs: number;
  /** `TM_LOG_LEVEL`: trace, debug, info, warn, error or silent; info. */
  readonly logLevel: LogLevel;
};

const sourceExample = 'grpc://127.0.0.1:7400';
const controlPlaneExample = '127.0.0.1:7400';
const tenantPattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const loopbackPattern = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\]):/;

/** Reads the environment; throws a SettingError that names the variable. */
export function readSidecarConfig(variables: NodeJS.ProcessEnv): SidecarConfig {
  const environment = new Environment(variables);
  const source = environment.url('TM_SIDECAR_SOURCE', {
    value: environment.text('TM_SIDECAR_SOURCE', sourceExample),
    protocols: ['grpc'],
    example: sourceExample,
  });
  // Not repeated: it may hold a password.
  if (!canConnectTo(source)) throw new SettingError(`TM_SIDECAR_SOURCE is not a URL such as ${sourceExample}`);
  const controlPlane = environment.address('TM_SIDECAR_CONTROL_PLANE', new URL(source).host);
  if (!canConnectTo(controlPlane))
    throw new SettingError(`TM_SIDECAR_CONTROL_PLANE=${controlPlane} is not an address such as ${controlPlaneExample}`);
  const address =
    environment.optional('TM_SIDECAR_ADDRESS') === 'off'
      ? undefined
      : environment.address('TM_SIDECAR_ADDRESS', '127.0.0.1:7401');
  const socketPath = environment.optional('TM_SIDECAR_SOCKET');
  if (address === undefined && socketPath === undefined)
    throw new SettingError('TM_SIDECAR_ADDRESS=off needs TM_SIDECAR_SOCKET: the sidecar would listen nowhere');
  if (socketPath !== undefined && Buffer.byteLength(socketPath) > sidecarLimits.socketPathBytesMax)
    throw new SettingError(
      `TM_SIDECAR_SOCKET is longer than a socket's path can be (${sidecarLimits.socketPathBytesMax} bytes)`,
    );
  if (address !== undefined && !loopbackPattern.test(address)) {
    throw new SettingError(
      `TM_SIDECAR_ADDRESS=${address} is not a loopback address: whoever reaches the sidecar reads every tenant it holds`,
    );
  }
  return {
    address,
    socketPath,
    front: environment.oneOf('TM_SIDECAR_WIRE', frontKinds, 'grpc-js'),
    source,
    controlPlane,
    scope: scopeFrom(environment.text('TM_SIDECAR_TENANTS', '*')),
    memoryBytesMax: environment.integer('TM_SIDECAR_MEMORY_MIB', { fallback: 64, min: 1, max: 65_536 }) * 1024 * 1024,
    watchersMax: environment.integer('TM_WATCHERS_MAX', { fallback: 1_000, min: 0, max: 1_000_000 }),
    watchStallMsMax: environment.integer('TM_WATCH_STALL_MS', { fallback: 30_000, min: 100, max: 600_000 }),
    drainMs: environment.integer('TM_DRAIN_MS', { fallback: 5_000, min: 0, max: 600_000 }),
    logLevel: environment.oneOf('TM_LOG_LEVEL', logLevels, 'info'),
  };
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
  const wrong = tenants.find((name) => !tenantPattern.test(name));
  if (wrong !== undefined)
    throw new SettingError(`TM_SIDECAR_TENANTS holds ${JSON.stringify(wrong)}, which is not a tenant's name or *`);
  return { tenants: [...new Set(tenants)], onDemand: names.includes('*') };
}
