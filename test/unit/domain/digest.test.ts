import { describe, expect, test } from 'vitest';
import { digest64, sorted } from '../../../src/domain/digest.ts';
import { canonicalRouteValue, etagOf, type RouteValue } from '../../../src/domain/route.ts';
import { canonicalTrafficPolicyValue } from '../../../src/domain/traffic-policy.ts';
import { exampleEndpoint, exampleRouteValue } from '../../fakes/example-configuration.ts';

describe('digest64', () => {
  test.for(['', 'a', '\u0000', 'ä👋', 'x'.repeat(100_000)])('is 16 hexadecimal digits: %#', (text) => {
    expect(digest64(text)).toMatch(/^[0-9a-f]{16}$/);
    expect(digest64(text)).toBe(digest64(`${text}`));
  });

  test('does not change from release to release: it stands in etags, tokens and stored replies', () => {
    expect(digest64('')).toBe('488bdcb81aee8d83');
    expect(digest64('traffic manager')).toBe('2207d20c7056a1b9');
  });

  test('tells apart 200,000 texts that hardly differ', () => {
    const digests = new Set(Array.from({ length: 200_000 }, (_, index) => digest64(`route-${index}`)));
    expect(digests.size).toBe(200_000);
  });
});

describe('sorted', () => {
  test('makes equal texts of equal records', () => {
    const one = Object.fromEntries([
      ['b', '2'],
      ['a', '1'],
      ['B', '3'],
      ['__proto__', '4'],
    ]);
    const same = Object.fromEntries([
      ['__proto__', '4'],
      ['a', '1'],
      ['B', '3'],
      ['b', '2'],
    ]);
    expect(JSON.stringify(sorted(one))).toBe(JSON.stringify(sorted(same)));
    expect(Object.keys(sorted(one))).toEqual(['B', '__proto__', 'a', 'b']);
  });
});

describe("a route's canonical text", () => {
  const base = exampleRouteValue({ endpoints: [exampleEndpoint({ labels: { rack: '1' } })], labels: { team: 'x' } });

  test('is equal for values that differ only in the order of their labels', () => {
    const left = { ...base, labels: { a: '1', b: '2' } };
    const right = { ...base, labels: { b: '2', a: '1' } };
    expect(canonicalRouteValue(left)).toBe(canonicalRouteValue(right));
  });

  const variants: Record<string, Partial<RouteValue>> = {
    'the URL': { endpoints: [exampleEndpoint({ url: 'grpc://other', labels: { rack: '1' } })] },
    'the weight': { endpoints: [exampleEndpoint({ weight: 2, labels: { rack: '1' } })] },
    'the zone': { endpoints: [exampleEndpoint({ zone: 'a', labels: { rack: '1' } })] },
    'the priority': { endpoints: [exampleEndpoint({ priority: 1, labels: { rack: '1' } })] },
    "an endpoint's label": { endpoints: [exampleEndpoint({ labels: { rack: '2' } })] },
    'one endpoint more': { endpoints: [...base.endpoints, exampleEndpoint({ url: 'grpc://b' })] },
    'a label': { labels: { team: 'y' } },
    "a label's name": { labels: { Team: 'x' } },
    'the state': { lifecycle: { state: 'INACTIVE' } },
    deletion: { lifecycle: { state: 'DELETED', deletedFrom: 'ACTIVE' } },
    'what it would come back to': { lifecycle: { state: 'DELETED', deletedFrom: 'INACTIVE' } },
  };

  test('differs for each part that can differ, and for each other', () => {
    const texts = [base, ...Object.values(variants).map((fields) => ({ ...base, ...fields }))].map(canonicalRouteValue);
    expect(new Set(texts).size).toBe(1 + Object.keys(variants).length);
  });

  test('takes the order of endpoints for a part of the value', () => {
    const [one, two] = [exampleEndpoint({ url: 'grpc://a' }), exampleEndpoint({ url: 'grpc://b' })];
    const text = (...endpoints: (typeof one)[]) => canonicalRouteValue({ ...base, endpoints });
    expect(text(one, two)).not.toBe(text(two, one));
  });
});

describe('an etag', () => {
  test('differs whenever the value or the revision does', () => {
    const text = canonicalRouteValue(exampleRouteValue());
    const other = canonicalRouteValue(exampleRouteValue({ labels: { a: 'b' } }));
    expect(new Set([etagOf(text, 1), etagOf(text, 2), etagOf(other, 1), etagOf(other, 2)]).size).toBe(4);
    expect(etagOf(text, 1)).toBe(etagOf(text, 1));
  });
});

describe("a traffic policy's canonical text", () => {
  test('differs for each part that can differ', () => {
    const texts = [
      { defaultVersion: 'v1', split: [] },
      { defaultVersion: '', split: [{ version: 'v1', weight: 1 }] },
      { defaultVersion: '', split: [{ version: 'v1', weight: 2 }] },
      { defaultVersion: '', split: [{ version: 'v2', weight: 1 }] },
      { defaultVersion: 'v1', split: [{ version: 'v1', weight: 1 }] },
    ].map((value) => canonicalTrafficPolicyValue({ ...value, rules: [] }));
    expect(new Set(texts).size).toBe(texts.length);
  });
});
