import type { Duration } from '../gen/google/protobuf/duration.ts';
import { Status } from '../gen/google/rpc/status.ts';
import type { ResolverServiceService, ResolveRequest } from '../gen/trafficmanager/v1/resolver_service.ts';
import { DomainError } from '../domain/domain-error.ts';
import { isPast, type Consistency, type Freshness } from '../domain/freshness.ts';
import { limits } from '../domain/limits.ts';
import type { Lookup, Resolution } from '../domain/resolve.ts';
import { Violations } from '../domain/validation.ts';
import type { Clock } from '../platform/clock.ts';
import type { CallContext, Handlers } from '../platform/grpc/handlers.ts';
import { atFromWire } from '../wire/at-wire.ts';
import { answerParts, encodeBatch, errorParts, type WaitingAnswer } from '../wire/batch-wire.ts';
import { encodeResolution } from '../wire/resolve-wire.ts';
import { toDomainError, toStatus } from '../wire/status.ts';
import { BatchRoom } from './batch-room.ts';
import { resolverLimits } from './limits.ts';

/** Answers lookups; the control plane and the sidecar each have one. Rejects with a DomainError. */
export interface Resolver {
  resolve(
    lookup: Lookup,
    consistency: Consistency,
    context: CallContext,
  ): Promise<{ resolution: Resolution; freshness: Freshness }>;
}

type Question = { readonly lookup: Lookup; readonly consistency: Consistency };
/** One result of a batch, until the others are there. */
type Outcome = WaitingAnswer | { readonly error: DomainError };

/** ResolverService over a resolver: what the control plane and the sidecar serve alike. */
export function resolverHandlers(
  resolver: Resolver,
  clock: Pick<Clock, 'monotonicMs'>,
): Handlers<typeof ResolverServiceService> {
  const room = new BatchRoom();
  const batch = async (requests: readonly ResolveRequest[], context: CallContext): Promise<Buffer> => {
    checkCount(requests);
    let [held, heldBytes] = [0, 0];
    const outcome = async (request: ResolveRequest): Promise<Outcome> => {
      try {
        const question = checked(request);
        const { resolution, freshness } = await resolver.resolve(question.lookup, question.consistency, context);
        // At once, so that a batch holds the bytes of its answers and not their objects.
        const bytes = encodeResolution(resolution, freshness);
        if (heldBytes + bytes.length > resolverLimits.batchAnswerBytesMax) throw tooLarge();
        room.take(bytes.length);
        held++;
        heldBytes += bytes.length;
        return { bytes, freshness, foundAtMs: isAgeless(question) ? Infinity : clock.monotonicMs() };
      } catch (error) {
        return { error: toDomainError(error) };
      }
    };
    const outcomes = await Promise.all(requests.map(outcome));
    // It cannot have rejected: each outcome is an answer or its error.
    room.give(held, heldBytes);
    const nowMs = clock.monotonicMs();
    return encodeBatch(
      outcomes.map((each) =>
        'error' in each
          ? errorParts(Status.encode(toStatus(each.error, context.correlationId)).finish())
          : answerParts(each, nowMs),
      ),
    );
  };
  return {
    resolve: async (request, context) => {
      const { lookup, consistency } = checked(request);
      const { resolution, freshness } = await resolver.resolve(lookup, consistency, context);
      return encodeResolution(resolution, freshness);
    },
    batchResolve: async ({ requests }, context) => await batch(requests, context),
    streamResolve: async (messages, writer, context) => {
      for await (const { requests } of messages) await writer.write(await batch(requests, context));
    },
  };
}

function checkCount({ length }: readonly ResolveRequest[]): void {
  const violations = new Violations();
  if (length === 0) violations.add('requests', 'is required');
  if (length > limits.lookupsPerMessageMax)
    violations.add('requests', `has more than ${limits.lookupsPerMessageMax} entries`);
  violations.assertNone();
}

/** Whether the answer is of a moment of the call, however long its batch takes: the past, and what Postgres had. */
function isAgeless({ consistency }: Question): boolean {
  return consistency.kind === 'strong' || isPast(consistency);
}

function tooLarge(): DomainError {
  return new DomainError('OVERLOADED', 'the answers to this batch are too large together: ask for fewer at a time', {
    metadata: { answer_bytes_max: String(resolverLimits.batchAnswerBytesMax) },
    retryDelayMs: 0,
  });
}

function checked(request: ResolveRequest): Question {
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
