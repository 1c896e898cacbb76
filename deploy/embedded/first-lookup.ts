import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { parseManifest } from '../../src/cli/manifest.ts';
import { messageToJson } from '../../src/cli/message-to-json.ts';
import {
  ResolverServiceClient,
  type ResolveRequest,
  type ResolveResponse,
} from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { limits } from './limits.ts';
import { StartError } from './start-error.ts';

/** Which service of the example is looked up; its policy chooses the version. */
export interface LookupKey {
  readonly tenant: string;
  readonly service: string;
  readonly environment: string;
}

/** One answered lookup. */
export interface FirstLookup {
  /** proto3 JSON, indented. */
  readonly answer: string;
  readonly tookMs: number;
}

/** What to ask, and where. */
export interface LookupOptions {
  readonly key: LookupKey;
  /** gRPC target: `unix:/path` or `host:port`. */
  readonly target: string;
  readonly signal?: AbortSignal;
}

/** What a sidecar answers that does not know the example yet. */
const earlyCodes: readonly number[] = [status.UNAVAILABLE, status.NOT_FOUND, status.DEADLINE_EXCEEDED];

/** The first service of a manifest whose policy splits its calls between versions: the most telling lookup. */
export async function chooseLookup(exampleFile: string): Promise<LookupKey | undefined> {
  const manifest = parseManifest({ file: exampleFile, text: await readFile(exampleFile, 'utf8') });
  const environments = manifest.tenants.flatMap(({ tenant, services }) =>
    (services ?? []).flatMap(({ service, environments: inside }) =>
      inside.map(({ environment, traffic_policy: policy }) => ({ tenant, service, environment, policy })),
    ),
  );
  const found =
    environments.find(({ policy }) => (policy?.split?.length ?? 0) > 1) ??
    environments.find(({ policy }) => policy?.default_version !== undefined);
  return found && { tenant: found.tenant, service: found.service, environment: found.environment };
}

/** Looks up without naming a version, as a service would; waits for a sidecar that has not read the example yet. */
export async function lookUp(options: LookupOptions): Promise<FirstLookup> {
  const client = new ResolverServiceClient(options.target, credentials.createInsecure());
  const end = performance.now() + limits.firstLookupMs;
  try {
    for (;;) {
      const start = performance.now();
      const result = await resolve(client, { ...options.key, version: '' });
      const tookMs = performance.now() - start;
      if (!(result instanceof Error)) return { answer: JSON.stringify(messageToJson(result), null, 2), tookMs };
      options.signal?.throwIfAborted();
      if (!earlyCodes.includes(result.code) || performance.now() > end) {
        throw new StartError(`the sidecar on ${options.target} did not answer the first lookup: ${result.details}`, {
          cause: result,
        });
      }
      await delay(limits.firstLookupRetryMs);
    }
  } finally {
    client.close();
  }
}

async function resolve(
  client: ResolverServiceClient,
  key: LookupKey & { version: string },
): Promise<ResolveResponse | ServiceError> {
  const request: ResolveRequest = { key, hashKey: '', attributes: {}, method: '', consistency: undefined };
  return await new Promise((settle) => {
    const deadline = Date.now() + limits.firstLookupCallMs;
    client.resolve(request, new Metadata(), { deadline }, (error, response) => {
      settle(error ?? response);
    });
  });
}
