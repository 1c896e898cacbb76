import { InvalidArgumentError } from 'commander';
import { expect, test } from 'vitest';
import { suggestion } from '../../src/platform/closest-name.ts';
import { durationFromMs, parseDurationMs } from '../../src/cli/duration.ts';
import { collectEndpoint, collectPair, collectWeightedVersion, parseRevision } from '../../src/cli/option-values.ts';
import { parseLookupKey, parsePolicyKey, parseRouteKey } from '../../src/cli/resource-path.ts';
import { message, parseAddress, Route, TrafficManagerError } from '../../src/client/index.ts';

test.each([
  ['250ms', 250],
  ['1.5s', 1_500],
  ['2m', 120_000],
  ['1h', 3_600_000],
  ['5', undefined],
  ['-1s', undefined],
  ['1 s', undefined],
  ['1d', undefined],
])('the duration %s is %s ms', (text, durationMs) => {
  expect(parseDurationMs(text)).toBe(durationMs);
});

test('a duration keeps its fraction, and a moment before 1970 its sign', () => {
  expect(durationFromMs(1_500)).toEqual({ seconds: 1n, nanos: 500_000_000 });
  expect(durationFromMs(-500)).toEqual({ seconds: -1n, nanos: 500_000_000 });
});

test('keys are read in parts, and nothing else is taken for one', () => {
  expect(parseRouteKey('a/b/c/1.4.2')).toEqual({ tenant: 'a', service: 'b', environment: 'c', version: '1.4.2' });
  expect(parseLookupKey('a/b/c')).toEqual({ tenant: 'a', service: 'b', environment: 'c', version: '' });
  expect(parsePolicyKey('a/b/c')).toEqual({ tenant: 'a', service: 'b', environment: 'c' });
  for (const path of ['', 'a/b/c', 'a/b/c/', 'a//c/d', 'a/b/c/d/e']) {
    expect(() => parseRouteKey(path)).toThrow('It must be TENANT/SERVICE/ENVIRONMENT/VERSION.');
  }
  expect(() => parseLookupKey('a/b')).toThrow('It must be TENANT/SERVICE/ENVIRONMENT[/VERSION].');
  expect(() => parsePolicyKey('a/b/c/d')).toThrow('It must be TENANT/SERVICE/ENVIRONMENT.');
});

test('an endpoint takes its settings after the URL, which may itself hold commas', () => {
  const first = collectEndpoint('grpc://a:1/x,y,weight=0,zone=z1,priority=2,label.rack=7=b');
  expect(first).toEqual([{ url: 'grpc://a:1/x,y', weight: 0, zone: 'z1', priority: 2, labels: { rack: '7=b' } }]);
  expect(collectEndpoint('grpc://b:1', first).map(({ weight }) => weight)).toEqual([0, undefined]);
  const [odd] = collectEndpoint('grpc://c:1,label.__proto__=x,label.a=b');
  expect(Object.entries(odd?.labels ?? {})).toEqual([
    ['__proto__', 'x'],
    ['a', 'b'],
  ]);
  expect(() => collectEndpoint('grpc://a:1,weight=x')).toThrow(InvalidArgumentError);
});

test('repeated options gather', () => {
  expect(collectPair('b=2', collectPair('a=1=x'))).toEqual({ a: '1=x', b: '2' });
  expect(Object.entries(collectPair('__proto__=1'))).toEqual([['__proto__', '1']]);
  expect(() => collectPair('=1')).toThrow(InvalidArgumentError);
  expect(collectWeightedVersion('v2=10', collectWeightedVersion('v1=90'))).toEqual([
    { version: 'v1', weight: 90 },
    { version: 'v2', weight: 10 },
  ]);
  expect(() => collectWeightedVersion('v1=99999999999')).toThrow(InvalidArgumentError);
});

test('a revision is an int64 of 0 or more', () => {
  expect(parseRevision('9223372036854775807')).toBe(2n ** 63n - 1n);
  for (const text of ['-1', '1.0', '', '9223372036854775808']) {
    expect(() => parseRevision(text)).toThrow(InvalidArgumentError);
  }
});

test.each([
  ['127.0.0.1:7400', 'dns:127.0.0.1:7400'],
  ['grpc://cart.acme.internal:80', 'dns:cart.acme.internal:80'],
  ['[::1]:7400', 'dns:[::1]:7400'],
  ['unix:7400', 'dns:unix:7400'],
  ['unix:/run/tm.sock', 'unix:/run/tm.sock'],
  ['unix:///run/tm.sock', 'unix:/run/tm.sock'],
])('the address %s is the target %s', (address, target) => {
  expect(parseAddress(address)).toBe(target);
});

test.each(['', 'localhost', 'http://a:80', 'a:0', 'a:65536', 'grpc://a:80/path', 'unix:', ':80', '::1:80'])(
  '"%s" is no address',
  (address) => {
    expect(() => parseAddress(address)).toThrow(TrafficManagerError);
  },
);

test('a suggestion is made for a typing error, not for another word', () => {
  expect(suggestion('endpont', ['url', 'endpoints'])).toBe('; did you mean "endpoints"?');
  expect(suggestion('ulr', ['url', 'zone'])).toBe('; did you mean "url"?');
  expect(suggestion('colour', ['url', 'zone'])).toBe('');
  expect(suggestion('x', [])).toBe('');
});

test('a message is whole from the fields that are given, and undefined counts as not given', () => {
  expect(message(Route, { etag: undefined, updatedBy: 'me' })).toEqual({
    ...Route.decode(new Uint8Array()),
    updatedBy: 'me',
  });
});
