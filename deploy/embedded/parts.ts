import { join } from 'node:path';
import { startChild, type ChildService } from './child-service.ts';
import type { EmbeddedConfiguration } from './configuration.ts';
import { dialAddress, formatListenAddress } from './listen-address.ts';
import { findNatsServer, startNats } from './nats-server.ts';
import { startPostgres } from './postgres-server.ts';
import type { Progress } from './progress.ts';
import type { ServerExit } from './server-process.ts';
import { sidecarRuntime } from './sidecar-runtime.ts';
import type { StateDirectory } from './state-directory.ts';

/** Something that the embedded product consists of and that runs as a process of ours. */
export interface Part {
  readonly name: string;
  readonly logFile: string;
  readonly exited: Promise<ServerExit>;
  stop(): Promise<void>;
}

/** What every part's start needs. */
export interface PartContext {
  readonly configuration: EmbeddedConfiguration;
  readonly state: StateDirectory;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  readonly hardStop: AbortSignal;
}

/** Where a store is, and the part that runs it if we started it. */
export interface Store {
  readonly url: string;
  /** How a person uses it. */
  readonly usage: string;
  readonly part: Part | undefined;
}

/** The Postgres of `DATABASE_URL`, else our own. */
export async function provideDatabase(context: PartContext): Promise<Store> {
  const { configuration, state, progress, signal, hardStop } = context;
  if (configuration.databaseUrl !== undefined) {
    const place = describeUrl(configuration.databaseUrl);
    progress(`Postgres: the one of DATABASE_URL (${place})`);
    return { url: configuration.databaseUrl, usage: `${place} (DATABASE_URL)`, part: undefined };
  }
  const directory = join(state.path, 'postgres');
  const logFile = join(state.logs, 'postgres.log');
  // The control plane and as many tests or consoles beside it.
  const settings = { max_connections: '200' };
  const server = await startPostgres({ directory, logFile, settings, signal, hardStop, onProgress: progress });
  progress(`Postgres ${server.version} is ready on 127.0.0.1:${server.port}`);
  const login = `psql -h 127.0.0.1 -p ${server.port} -U postgres`;
  return {
    url: server.url,
    usage: `PGPASSWORD=$(cat ${quote(join(directory, 'password'))}) ${login}`,
    part: { name: 'Postgres', ...server },
  };
}

/** The NATS of `NATS_URL`, else one of the PATH, else none: the product does without. */
export async function provideBroker(context: PartContext): Promise<Store | undefined> {
  const { configuration, state, progress, signal, hardStop } = context;
  if (configuration.natsUrl !== undefined) {
    const place = describeUrl(configuration.natsUrl);
    progress(`NATS: the one of NATS_URL (${place})`);
    return { url: configuration.natsUrl, usage: `${place} (NATS_URL)`, part: undefined };
  }
  const binary = await findNatsServer(configuration.environment['PATH']);
  if (binary === undefined) {
    progress("NATS: no nats-server on the PATH and no NATS_URL; the sidecar follows the control plane's Watch");
    return undefined;
  }
  const logFile = join(state.logs, 'nats.log');
  const server = await startNats({
    binary,
    directory: join(state.path, 'nats'),
    logFile,
    signal,
    hardStop,
    onProgress: progress,
  });
  progress(`NATS ${server.version} is ready on 127.0.0.1:${server.port}`);
  return { url: server.url, usage: server.url, part: { name: 'NATS', ...server } };
}

/** Starts the control plane, which brings the database up to date. */
export async function startControlPlane(
  context: PartContext,
  stores: { database: Store; broker: Store | undefined },
): Promise<ChildService> {
  const { configuration, progress } = context;
  const address = formatListenAddress(configuration.controlPlane);
  const child = await startService(context, {
    name: 'control plane',
    entry: join(configuration.projectDirectory, 'src', 'main.ts'),
    settings: {
      DATABASE_URL: stores.database.url,
      ...(stores.broker === undefined ? {} : { TM_NATS_URL: stores.broker.url }),
      TM_CONTROL_PLANE_ADDRESS: address,
    },
    runtime: {},
  });
  progress(`the control plane serves on ${address}`);
  return child;
}

/** Where the sidecar takes changes from: what was asked for, else the change stream where there is NATS, else Watch. */
export function chooseSource({ configuration }: Pick<PartContext, 'configuration'>, broker: Store | undefined): string {
  const watch = `grpc://${formatListenAddress(dialAddress(configuration.controlPlane))}`;
  return configuration.sidecarSource ?? broker?.url ?? watch;
}

/** The same for people, without a password. */
export function describeSource(source: string): string {
  const kind = source.startsWith('nats:') ? 'the change stream on NATS' : "the control plane's Watch";
  return `${kind} (${describeUrl(source)})`;
}

/** Whom the sidecar asks for what memory cannot answer: NATS has no lookups. */
function chooseControlPlane({ environment, controlPlane }: EmbeddedConfiguration): string {
  return environment['TM_SIDECAR_CONTROL_PLANE'] || formatListenAddress(dialAddress(controlPlane));
}

/** Starts the sidecar. */
export async function startSidecar(
  context: PartContext,
  { socket, source }: { socket: string; source: string },
): Promise<ChildService> {
  const { configuration, progress } = context;
  const address = configuration.sidecar && formatListenAddress(configuration.sidecar);
  const child = await startService(context, {
    name: 'sidecar',
    entry: join(configuration.projectDirectory, 'sidecar', 'main.ts'),
    settings: {
      TM_SIDECAR_ADDRESS: address ?? 'off',
      TM_SIDECAR_SOCKET: socket,
      TM_SIDECAR_SOURCE: source,
      ...(source.startsWith('nats:') ? { TM_SIDECAR_CONTROL_PLANE: chooseControlPlane(configuration) } : {}),
      TM_SIDECAR_TENANTS: configuration.sidecarTenants,
      TM_SIDECAR_STATE_DIR: join(context.state.path, 'sidecar'),
    },
    runtime: sidecarRuntime,
  });
  progress(`the sidecar serves on ${address === undefined ? '' : `${address} and `}${socket}`);
  progress(`the sidecar takes changes from ${describeSource(source)}`);
  return child;
}

interface Service {
  readonly name: string;
  readonly entry: string;
  readonly settings: Readonly<Record<string, string>>;
  /** For Node, where the operator says nothing else. */
  readonly runtime: Readonly<Record<string, string>>;
}

async function startService(context: PartContext, service: Service): Promise<ChildService> {
  const { configuration, state, signal, hardStop } = context;
  return await startChild({
    name: service.name,
    entry: service.entry,
    workingDirectory: configuration.workingDirectory,
    environment: {
      // From the second start on the sources are neither stripped of their types nor compiled again: half of the CPU.
      NODE_COMPILE_CACHE: join(state.path, 'compile-cache'),
      ...service.runtime,
      ...configuration.environment,
      ...service.settings,
    },
    logs: state.logs,
    drainMs: configuration.drainMs,
    signal,
    hardStop,
  });
}

/** A URL without its user and password. */
function describeUrl(url: string): string {
  if (!URL.canParse(url)) return 'not a URL';
  const { host, pathname } = new URL(url);
  return `${host}${pathname === '/' ? '' : pathname}`;
}

/** One word for a shell. */
function quote(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
