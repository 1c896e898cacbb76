import { join } from 'node:path';
import { formatListenAddress, parseListenAddress, type ListenAddress } from './listen-address.ts';
import { StartError } from './start-error.ts';

/** What an embedded run is asked to do. */
export interface EmbeddedConfiguration {
  /** The repository: holds src/main.ts and sidecar/main.ts. */
  readonly projectDirectory: string;
  readonly workingDirectory: string;
  /** `TM_STATE_DIR`. Default: state-directory.ts decides. */
  readonly stateDirectory: string | undefined;
  /** `DATABASE_URL`: a Postgres of yours instead of the embedded one. */
  readonly databaseUrl: string | undefined;
  /** `NATS_URL`: a NATS of yours instead of a `nats-server` from the PATH. */
  readonly natsUrl: string | undefined;
  /** `TM_CONTROL_PLANE_ADDRESS`. Default 127.0.0.1:7400. */
  readonly controlPlane: ListenAddress;
  /** `TM_SIDECAR_ADDRESS`; undefined for `off`: it listens on its socket only. Default 127.0.0.1:7401. */
  readonly sidecar: ListenAddress | undefined;
  /** `TM_SIDECAR_SOCKET`, not `off`. Default: `sidecar.sock` in the state directory. */
  readonly sidecarSocket: string | undefined;
  /** `TM_SIDECAR_SOURCE`. Default: the change stream where there is NATS, else the control plane's Watch. */
  readonly sidecarSource: string | undefined;
  /** `TM_SIDECAR_TENANTS`. Default `acme,globex,*`: the example's are there from the start, others on demand. */
  readonly sidecarTenants: string;
  /** `TM_EXAMPLE`: a manifest that is applied. Default deploy/examples/shop.yaml. */
  readonly exampleFile: string;
  /** `TM_DRAIN_DELAY_MS` and `TM_DRAIN_MS` of both children: how long they may take to finish calls. Default 5,000. */
  readonly drainMs: number;
  /** Passed on to both children, which have further settings of their own. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Where it runs. */
export interface ConfigurationOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly projectDirectory: string;
  readonly workingDirectory: string;
}

/** Reads the environment, once. An empty variable counts as not set. */
export function readConfiguration(options: ConfigurationOptions): EmbeddedConfiguration {
  const { environment, projectDirectory, workingDirectory } = options;
  const read = (name: string): string | undefined => environment[name] || undefined;
  const readAddress = (name: string, otherwise: string): ListenAddress =>
    parseListenAddress(read(name) ?? otherwise, name);
  const controlPlane = readAddress('TM_CONTROL_PLANE_ADDRESS', '127.0.0.1:7400');
  const isOff = read('TM_SIDECAR_ADDRESS') === 'off';
  const sidecar = isOff ? undefined : readAddress('TM_SIDECAR_ADDRESS', '127.0.0.1:7401');
  if (sidecar !== undefined && formatListenAddress(controlPlane) === formatListenAddress(sidecar)) {
    throw new StartError(
      'TM_CONTROL_PLANE_ADDRESS and TM_SIDECAR_ADDRESS are the same: set one of them to another port',
    );
  }
  return {
    projectDirectory,
    workingDirectory,
    stateDirectory: read('TM_STATE_DIR'),
    databaseUrl: read('DATABASE_URL'),
    natsUrl: read('NATS_URL'),
    controlPlane,
    sidecar,
    sidecarSocket: read('TM_SIDECAR_SOCKET'),
    sidecarSource: read('TM_SIDECAR_SOURCE'),
    sidecarTenants: read('TM_SIDECAR_TENANTS') ?? 'acme,globex,*',
    exampleFile: read('TM_EXAMPLE') ?? join(projectDirectory, 'deploy', 'examples', 'shop.yaml'),
    // What is no number the children refuse.
    drainMs: (Number(read('TM_DRAIN_DELAY_MS') ?? 0) || 0) + (Number(read('TM_DRAIN_MS') ?? 5_000) || 0),
    environment,
  };
}
