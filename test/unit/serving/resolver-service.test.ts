import { Metadata } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { errorFromStatus } from '../../../src/client/index.ts';
import { DomainError } from '../../../src/domain/domain-error.ts';
import type { Consistency } from '../../../src/domain/freshness.ts';
import type { Lookup } from '../../../src/domain/resolve.ts';
import {
  BatchResolveResponse,
  ResolveRequest,
  ResolveResponse,
  type StreamResolveRequest,
  StreamResolveResponse,
} from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import type { CallContext } from '../../../src/platform/grpc/handlers.ts';
import { resolverLimits } from '../../../src/serving/limits.ts';
import { resolverHandlers, type Resolver } from '../../../src/serving/resolver-service.ts';
import { exampleChanges } from '../../fakes/example-changes.ts';
import { exampleKey } from '../../fakes/example-configuration.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { exampleLookup } from '../../fakes/example-traffic-policy.ts';

const [change] = exampleChanges(2, 1);
if (change?.subject.kind !== 'route') throw new Error('a route');
const route = change.subject.after;

const clock = new FakeClock();

/** Finds every version but `missing`; `broken` fails as only a bug does. */
class ScriptedResolver implements Resolver {
  readonly asked: { readonly lookup: Lookup; readonly consistency: Consistency }[] = [];

  async resolve(lookup: Lookup, consistency: Consistency) {
    this.asked.push({ lookup, consistency });
    if (lookup.version === 'missing')
      throw new DomainError('ROUTE_NOT_FOUND', 'there is none', { metadata: { route: 'r' } });
    if (lookup.version === 'broken') throw new TypeError('undefined is not a secret');
    const resolution = { route: { ...route, key: lookup }, policy: undefined, reason: 'KEY' as const };
    const freshness = { source: 'SNAPSHOT' as const, revision: 2, stalenessMs: 0.2, stale: false };
    return await Promise.resolve({ resolution, freshness });
  }
}

const requestOf = (fields: Partial<ResolveRequest>): ResolveRequest => ({
  ...ResolveRequest.decode(new Uint8Array()),
  key: exampleKey('v1'),
  ...fields,
});

function contextOf(): CallContext {
  const signal = new AbortController().signal;
  return { signal, draining: signal, deadlineMs: undefined, correlationId: 'correlation-7', metadata: new Metadata() };
}

async function resolveWith(fields: Partial<ResolveRequest>, resolver = new ScriptedResolver()) {
  const answer = await resolverHandlers(resolver, clock).resolve(requestOf(fields), contextOf());
  if (!(answer instanceof Uint8Array)) throw new Error('an encoded answer');
  return { response: ResolveResponse.decode(answer), asked: resolver.asked[0] };
}

test('batches whose answers wait for others are refused what there is no room for, until those have their answers', async () => {
  const gate = Promise.withResolvers<void>();
  const large = { ...route, labels: { large: 'x'.repeat(15 * 1024 * 1024) } };
  const resolver: Resolver = {
    resolve: async (lookup) => {
      if (lookup.version === 'waits') await gate.promise;
      const resolution = {
        route: lookup.version === 'large' ? large : route,
        policy: undefined,
        reason: 'KEY' as const,
      };
      return { resolution, freshness: { source: 'SNAPSHOT', revision: 2, stalenessMs: 0, stale: false } };
    },
  };
  const handlers = resolverHandlers(resolver, clock);
  const requests = ['large', 'waits'].map((version) => requestOf({ key: exampleKey(version) }));
  const ask = async () => {
    const answer = await handlers.batchResolve({ requests }, contextOf());
    if (!(answer instanceof Uint8Array)) throw new Error('an encoded answer');
    return BatchResolveResponse.decode(answer).results.map(({ result }) => result?.$case);
  };
  const asked = Array.from({ length: 5 }, ask);
  await new Promise<void>((resolve) => setImmediate(resolve));
  gate.resolve();
  const outcomes = await Promise.all(asked);
  expect(outcomes.filter(([first]) => first === 'error')).toEqual([['error', 'response']]);
  expect(await ask()).toEqual(['response', 'response']);
});

describe('Resolve', () => {
  test('asks for what the request says', async () => {
    const { response, asked } = await resolveWith({
      hashKey: 'user-1',
      attributes: { region: 'eu' },
      method: 'shop.Cart/Add',
    });
    const lookup = { version: 'v1', hashKey: 'user-1', attributes: { region: 'eu' }, method: 'shop.Cart/Add' };
    expect(asked).toEqual({ lookup: exampleLookup(lookup), consistency: { kind: 'eventual' } });
    expect(response.route?.key).toEqual(exampleKey('v1'));
    expect(response.freshness?.stalenessMs).toBe(1n);
  });

  test.for([
    ['nothing', undefined, { kind: 'eventual' }],
    ['an empty requirement', { requirement: undefined }, { kind: 'eventual' }],
    ['strong', { requirement: { $case: 'strong', value: true } }, { kind: 'strong' }],
    ['not strong', { requirement: { $case: 'strong', value: false } }, { kind: 'eventual' }],
    ['a revision', { requirement: { $case: 'minRevision', value: 7n } }, { kind: 'min_revision', revision: 7 }],
    [
      'half a millisecond',
      { requirement: { $case: 'maxStaleness', value: { seconds: 0n, nanos: 500_000 } } },
      { kind: 'max_staleness', stalenessMsMax: 0.5 },
    ],
    [
      'two and a half seconds',
      { requirement: { $case: 'maxStaleness', value: { seconds: 2n, nanos: 500_000_000 } } },
      { kind: 'max_staleness', stalenessMsMax: 2_500 },
    ],
  ] as const)('takes as consistency: %s', async ([, consistency, expected]) => {
    expect((await resolveWith({ consistency })).asked?.consistency).toEqual(expected);
  });

  const attributes = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 'v']));
  const longest = {
    hashKey: 'h'.repeat(256),
    method: 'm'.repeat(256),
    attributes: { ...attributes(63), ['k'.repeat(63)]: 'v'.repeat(1_024) },
  };

  test('takes what is as long as it may be', async () => {
    expect((await resolveWith(longest)).response.route).toBeDefined();
  });

  test.for([
    ['no key', { key: undefined }, ['key']],
    [
      'an empty key',
      { key: exampleKey('', { tenant: '', service: '', environment: '' }) },
      ['key.tenant', 'key.service', 'key.environment'],
    ],
    ['a version that is none', { key: exampleKey('v..1') }, ['key.version']],
    ['a name that was not UTF-8', { key: exampleKey('v1', { service: 'ca\uFFFDrt' }) }, ['key.service']],
    ['a hash key of 257 characters', { hashKey: 'h'.repeat(257) }, ['hash_key']],
    ['a hash key that was not UTF-8', { hashKey: '\uFFFD' }, ['hash_key']],
    ['a method of 257 characters', { method: 'm'.repeat(257) }, ['method']],
    ['65 attributes', { attributes: attributes(65) }, ['attributes']],
    ['an attribute without a name', { attributes: { '': 'v' } }, ['attributes[""]']],
    ['an attribute with a long name', { attributes: { ['k'.repeat(64)]: 'v' } }, [`attributes["${'k'.repeat(64)}"]`]],
    ['an attribute with a long value', { attributes: { k: 'v'.repeat(1_025) } }, ['attributes["k"]']],
    ['no staleness at all', { consistency: maxStaleness(0n, 0) }, ['consistency.max_staleness']],
    ['a negative staleness', { consistency: maxStaleness(-1n, 0) }, ['consistency.max_staleness']],
    ['a revision below 0', { consistency: minRevision(-1n) }, ['consistency.min_revision']],
    ['a revision beyond 2^53', { consistency: minRevision(2n ** 53n) }, ['consistency.min_revision']],
  ] as const)('is refused with %s', async ([, fields, wrong]) => {
    const resolver = new ScriptedResolver();
    const error = await resolveWith(fields, resolver).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ reason: 'INVALID_FIELDS', violations: wrong.map((field) => ({ field })) });
    expect(resolver.asked).toEqual([]);
  });
});

function maxStaleness(seconds: bigint, nanos: number) {
  return { requirement: { $case: 'maxStaleness' as const, value: { seconds, nanos } } };
}

function minRevision(value: bigint) {
  return { requirement: { $case: 'minRevision' as const, value } };
}

describe('BatchResolve', () => {
  const batch = async (requests: ResolveRequest[]) => {
    const answer = await resolverHandlers(new ScriptedResolver(), clock).batchResolve({ requests }, contextOf());
    return BatchResolveResponse.decode(answer as Uint8Array).results.map(({ result }) => {
      if (result?.$case === 'error') return errorFromStatus(result.value);
      return result?.value.route?.key?.version;
    });
  };

  test('answers each lookup in its place; one failing does not fail the others', async () => {
    const versions = ['v1', 'missing', 'v2', 'broken'];
    const results = await batch([
      ...versions.map((version) => requestOf({ key: exampleKey(version) })),
      requestOf({ key: undefined }),
    ]);
    expect(results).toEqual([
      'v1',
      expect.objectContaining({ code: 'NOT_FOUND', reason: 'ROUTE_NOT_FOUND', metadata: { route: 'r' } }),
      'v2',
      expect.objectContaining({ code: 'INTERNAL', message: 'internal error (correlation id correlation-7)' }),
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        fieldViolations: [{ field: 'key', description: 'is required' }],
      }),
    ]);
  });

  test('takes 1 to 1,000 lookups', async () => {
    const many = (count: number) => Array.from({ length: count }, () => requestOf({}));
    expect(await batch(many(1_000))).toHaveLength(1_000);
    for (const count of [0, 1_001]) {
      await expect(batch(many(count))).rejects.toMatchObject({
        reason: 'INVALID_FIELDS',
        violations: [{ field: 'requests' }],
      });
    }
  });
});

describe('the answers of a batch', () => {
  const versions = ['v1', 'v2', 'v3'];
  const requests = versions.map((version) => requestOf({ key: exampleKey(version) }));

  /** A resolver whose last answer takes so long, ms. */
  class SlowResolver extends ScriptedResolver {
    override async resolve(lookup: Lookup, consistency: Consistency) {
      const answer = await super.resolve(lookup, consistency);
      if (lookup.version !== 'v3') return answer;
      // Past the turns that the others take.
      for (let turn = 0; turn < 100; turn++) await Promise.resolve();
      clock.advance(700);
      return answer;
    }
  }

  async function freshnessOf(asked: readonly ResolveRequest[], resolver: Resolver) {
    const answer = await resolverHandlers(resolver, clock).batchResolve({ requests: [...asked] }, contextOf());
    const { results } = BatchResolveResponse.decode(answer as Uint8Array);
    return results.map(({ result }) => (result?.$case === 'response' ? result.value.freshness : undefined));
  }

  test('say that they are older by what they waited for the others', async () => {
    const ages = await freshnessOf(requests, new SlowResolver());
    expect(ages.map((each) => Number(each?.stalenessMs))).toEqual([701, 701, 1]);
    expect(ages[0]).toMatchObject({ source: ages[2]?.source, revision: 2n, stale: false });
  });

  test('are of the call where the call itself is what was asked for', async () => {
    const strong = { requirement: { $case: 'strong' as const, value: true } };
    const ages = await freshnessOf(
      requests.map((request) => ({ ...request, consistency: strong })),
      new SlowResolver(),
    );
    expect(ages.map((each) => Number(each?.stalenessMs))).toEqual([1, 1, 1]);
  });

  test('that are too large together are refused one by one', async () => {
    const large = { ...route, labels: { padding: 'x'.repeat(100_000) } };
    class LargeResolver extends ScriptedResolver {
      override async resolve(lookup: Lookup, consistency: Consistency) {
        const answer = await super.resolve(lookup, consistency);
        return { ...answer, resolution: { ...answer.resolution, route: { ...large, key: lookup } } };
      }
    }
    const many = Array.from({ length: 1_000 }, () => requestOf({}));
    const answer = await resolverHandlers(new LargeResolver(), clock).batchResolve({ requests: many }, contextOf());
    expect((answer as Uint8Array).length).toBeLessThan(resolverLimits.batchAnswerBytesMax + 1_000_000);
    const { results } = BatchResolveResponse.decode(answer as Uint8Array);
    expect(results).toHaveLength(1_000);
    expect(results[0]?.result?.$case).toBe('response');
    const last = results.at(-1)?.result;
    expect(last?.$case === 'error' && errorFromStatus(last.value)).toMatchObject({ reason: 'OVERLOADED' });
  });
});

describe('StreamResolve', () => {
  async function* messagesOf(...batches: string[][]): AsyncGenerator<StreamResolveRequest> {
    for (const versions of batches) {
      yield await Promise.resolve({ requests: versions.map((version) => requestOf({ key: exampleKey(version) })) });
    }
  }

  function collect() {
    const sent: (string | undefined)[][] = [];
    const write = async (message: StreamResolveResponse | Uint8Array): Promise<void> => {
      const { results } = StreamResolveResponse.decode(message as Uint8Array);
      const versionOf = ({ result }: StreamResolveResponse['results'][number]) =>
        result?.$case === 'response' ? result.value.route?.key?.version : result?.$case;
      sent.push(results.map(versionOf));
      await Promise.resolve();
    };
    const unused = (): never => {
      throw new Error('results are written, not sent as frames');
    };
    return { sent, writer: { write, send: unused, onDrain: unused } };
  }

  const { streamResolve } = resolverHandlers(new ScriptedResolver(), clock);

  test('gives one answer for each message, in their order, with one result for each lookup', async () => {
    const { sent, writer } = collect();
    await streamResolve(messagesOf(['v1', 'missing'], ['v2'], ['v3', 'v4', 'v5']), writer, contextOf());
    expect(sent).toEqual([['v1', 'error'], ['v2'], ['v3', 'v4', 'v5']]);
  });

  test('ends with a message that asks for nothing', async () => {
    const { sent, writer } = collect();
    const stream = streamResolve(messagesOf(['v1'], [], ['v2']), writer, contextOf());
    await expect(stream).rejects.toMatchObject({ reason: 'INVALID_FIELDS' });
    expect(sent).toEqual([['v1']]);
  });

  test('fails as its source of messages does', async () => {
    async function* broken(): AsyncGenerator<StreamResolveRequest> {
      yield* messagesOf(['v1']);
      throw new DomainError('MALFORMED_MESSAGE', 'not protobuf');
    }
    const stream = streamResolve(broken(), collect().writer, contextOf());
    await expect(stream).rejects.toMatchObject({ reason: 'MALFORMED_MESSAGE' });
  });
});
