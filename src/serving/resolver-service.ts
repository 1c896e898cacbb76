import type { Duration } from '../gen/google/protobuf/duration.ts';
import type {
  ResolverServiceService,
  ResolveRequest,
  ResolveResult,
} from '../gen/trafficmanager/v1/resolver_service.ts';
import { ResolveResponse } from '../gen/trafficmanager/v1/resolver_service.ts';
import type { Consistency, Freshness } from '../domain/freshness.ts';
import { limits } from '../domain/limits.ts';
import type { Lookup, Resolution } from '../domain/resolve.ts';
import { Violations } from '../domain/validation.ts';
import type { CallContext, Handlers } from '../platform/grpc/handlers.ts';
import { atFromWire } from '../wire/at-wire.ts';
import { encodeResolution } from '../wire/resolve-wire.ts';
import { toDomainError, toStatus } from '../wire/status.ts';

/** Answers lookups; the control plane and the sidecar each have one. Rejects with a DomainError. */
export interface Resolver {
  resolve(
    lookup: Lookup,
    consistency: Consistency,
    context: CallContext,
  ): Promise<{ resolution: Resolution; freshness: Freshness }>;
}

/** ResolverService over a resolver: what the control plane and the sidecar serve alike. */
export function resolverHandlers(resolver: Resolver): Handlers<typeof ResolverServiceService> {
  const encode = async (request: ResolveRequest, context: CallContext): Promise<Buffer> => {
    const { lookup, consistency } = checked(request);
    const { resolution, freshness } = await resolver.resolve(lookup, consistency, context);
    return encodeResolution(resolution, freshness);
  };
  const result = async (request: ResolveRequest, context: CallContext): Promise<ResolveResult> => {
    try {
      return { result: { $case: 'response', value: ResolveResponse.decode(await encode(request, context)) } };
    } catch (error) {
      return { result: { $case: 'error', value: toStatus(toDomainError(error), context.correlationId) } };
    }
  };
  const results = (requests: readonly ResolveRequest[], context: CallContext): Promise<ResolveResult[]> => {
    const violations = new Violations();
    if (requests.length === 0) violations.add('requests', 'is required');
    if (requests.length > limits.lookupsPerMessageMax)
      violations.add('requests', `has more than ${limits.lookupsPerMessageMax} entries`);
    violations.assertNone();
    return Promise.all(requests.map((request) => result(request, context)));
  };
  return {
    resolve: encode,
    batchResolve: async ({ requests }, context) => ({ results: await results(requests, context) }),
    streamResolve: async (messages, writer, context) => {
      for await (const { requests } of messages) await writer.write({ results: await results(requests, context) });
    },
  };
}

function checked(request: ResolveRequest): { lookup: Lookup; consistency: Consistency } {
  const { key, hashKey, attributes, method } = request;
  const violations = new Violations();
  if (key === undefined) violations.add('key', 'is required');
  else {
    violations.name('key.tenant', key.tenant);
    violations.name('key.service', key.service);
    violations.name('key.environment', key.environment);
    if (key.version !== '') violations.version('key.version', key.version);
  }
  violations.text('hash_key', hashKey, limits.hashKeyLengthMax);
  violations.text('method', method, limits.methodLengthMax);
  checkAttributes(violations, attributes);
  const consistency = checkedConsistency(violations, request);
  violations.assertNone();
  const { tenant = '', service = '', environment = '', version = '' } = key ?? {};
  return { lookup: { tenant, service, environment, version, hashKey, attributes, method }, consistency };
}

function checkAttributes(violations: Violations, attributes: Readonly<Record<string, string>>): void {
  const keys = Object.keys(attributes);
  if (keys.length > limits.attributesMax)
    return violations.add('attributes', `has more than ${limits.attributesMax} entries`);
  for (const key of keys) {
    const path = `attributes[${JSON.stringify(key)}]`;
    if (key === '') violations.add(path, 'the key is empty');
    violations.text(path, key, limits.attributeKeyLengthMax);
    violations.text(path, attributes[key] ?? '', limits.attributeValueLengthMax);
  }
}

function checkedConsistency(violations: Violations, { consistency, at }: ResolveRequest): Consistency {
  // A point in the past is as fresh as it ever gets: what else is asked for is ignored.
  const past = atFromWire(violations, at);
  if (past !== undefined) return past;
  const requirement = consistency?.requirement;
  switch (requirement?.$case) {
    case undefined:
      return { kind: 'eventual' };
    case 'maxStaleness': {
      const stalenessMsMax = milliseconds(requirement.value);
      if (!(stalenessMsMax > 0)) violations.add('consistency.max_staleness', 'must be more than 0');
      return { kind: 'max_staleness', stalenessMsMax };
    }
    case 'minRevision': {
      const revision = Number(requirement.value);
      if (!Number.isSafeInteger(revision) || revision < 0)
        violations.add('consistency.min_revision', 'must be from 0 to 2^53 - 1');
      return { kind: 'min_revision', revision };
    }
    case 'strong':
      return requirement.value ? { kind: 'strong' } : { kind: 'eventual' };
  }
}

/** A protobuf duration in milliseconds. */
export function milliseconds(duration: Duration): number {
  return Number(duration.seconds) * 1_000 + duration.nanos / 1e6;
}
