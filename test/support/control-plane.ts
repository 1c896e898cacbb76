import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { createClient, type TrafficManagerClient } from '../../src/client/index.ts';
import type { ControlPlaneConfig } from '../../src/config.ts';
import { startControlPlane } from '../../src/control-plane.ts';
import { BadRequest, ErrorInfo, ResourceInfo, RetryInfo, Status } from '../../src/gen/google/rpc/status.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createDatabase } from './postgres.ts';

/** A control plane in this process; disposing closes its client and stops it. */
export interface TestControlPlane extends AsyncDisposable {
  readonly address: string;
  readonly client: TrafficManagerClient;
  /** Stops it now, in order; disposing afterwards does nothing. */
  stop(): Promise<void>;
}

/** Starts a control plane on any free port over a database that exists. */
export async function startTestControlPlane(
  databaseUrl: string,
  config: Partial<ControlPlaneConfig> = {},
): Promise<TestControlPlane> {
  const controlPlane = await startControlPlane(
    {
      databaseUrl,
      databasePoolSize: 10,
      databaseTimeoutMs: 30_000,
      address: '127.0.0.1:0',
      administratorToken: undefined,
      shrinkPercentMax: 20,
      shrinkRoutesMin: 10,
      watchersMax: 10_000,
      watchStallMsMax: 30_000,
      changeRetentionDays: 30,
      natsUrl: undefined,
      metricsAddress: undefined,
      tombstoneHours: 24,
      reconcileMinutes: 15,
      drainDelayMs: 0,
      drainMs: 10_000,
      logLevel: 'silent',
      ...config,
    },
    createLogger('control-plane', config.logLevel ?? 'silent'),
  );
  const { address } = controlPlane;
  const client = createClient({ address, defaults: { timeoutMs: 30_000 } });
  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    client.close();
    stopped ??= Promise.resolve(controlPlane[Symbol.asyncDispose]());
    await stopped;
  };
  return { address, client, stop, [Symbol.asyncDispose]: stop };
}

/** Replicas over one fresh database, which is dropped with them. */
export interface TestReplicas extends AsyncDisposable {
  readonly databaseUrl: string;
  readonly replicas: readonly TestControlPlane[];
}

/** Makes a database and starts control planes over it. `adminUrl`: test files have it from `inject('postgresUrl')`. */
export async function startTestReplicas(
  adminUrl: string,
  count: number,
  config: Partial<ControlPlaneConfig> = {},
): Promise<TestReplicas> {
  const owned = new AsyncDisposableStack();
  try {
    const { url } = owned.use(await createDatabase(adminUrl));
    const replicas: TestControlPlane[] = [];
    for (let replica = 0; replica < count; replica++) {
      replicas.push(owned.use(await startTestControlPlane(url, config)));
    }
    return { databaseUrl: url, replicas, [Symbol.asyncDispose]: async () => await owned.disposeAsync() };
  } catch (error) {
    await owned.disposeAsync();
    throw error;
  }
}

/** How a call ended, as it stands on the wire. */
export interface RawOutcome {
  readonly code: number;
  readonly message: string;
  readonly trailers: Metadata;
  /** The answer's bytes; undefined when the call failed. */
  readonly response: Buffer | undefined;
  /** `grpc-status-details-bin`, decoded; undefined when there is none. */
  readonly status: DecodedStatus | undefined;
}

/** A google.rpc.Status and every detail of it that we know. */
export interface DecodedStatus {
  readonly code: number;
  readonly message: string;
  readonly errorInfos: readonly ErrorInfo[];
  readonly badRequests: readonly BadRequest[];
  readonly retryInfos: readonly RetryInfo[];
  readonly resourceInfos: readonly ResourceInfo[];
}

/** Sends bytes as they are to a method with one answer, such as `/trafficmanager.v1.RouteService/GetRoute`. */
export async function callRaw(
  address: string,
  path: string,
  request: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): Promise<RawOutcome> {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const client = new Client(address, credentials.createInsecure());
  try {
    return await new Promise((resolve) => {
      const asIs = (bytes: Buffer): Buffer => bytes;
      let outcome: { error: ServiceError | null; response: Buffer | undefined } | undefined;
      const call = client.makeUnaryRequest(path, asIs, asIs, Buffer.from(request), metadata, (error, response) => {
        outcome = { error, response };
      });
      call.on('status', ({ code, details, metadata: trailers }) => {
        resolve({ code, message: details, trailers, response: outcome?.response, status: decodeStatus(trailers) });
      });
    });
  } finally {
    client.close();
  }
}

/** The details that a failed call carries in its trailers. */
function decodeStatus(trailers: Metadata): DecodedStatus | undefined {
  const bytes = trailers.get('grpc-status-details-bin')[0];
  if (!(bytes instanceof Uint8Array)) return undefined;
  const { code, message, details } = Status.decode(bytes);
  const of = <Detail>(name: string, type: { decode(bytes: Uint8Array): Detail }): Detail[] =>
    details
      .filter(({ typeUrl }) => typeUrl === `type.googleapis.com/google.rpc.${name}`)
      .map(({ value }) => type.decode(value));
  return {
    code,
    message,
    errorInfos: of('ErrorInfo', ErrorInfo),
    badRequests: of('BadRequest', BadRequest),
    retryInfos: of('RetryInfo', RetryInfo),
    resourceInfos: of('ResourceInfo', ResourceInfo),
  };
}
