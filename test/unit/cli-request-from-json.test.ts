import { expect, test } from 'vitest';
import { loadProtoSchema } from '../../src/cli/proto-schema.ts';
import { requestFromJson, RequestJsonError } from '../../src/cli/request-from-json.ts';
import { ResolveRequest } from '../../src/client/index.ts';
import { ListRoutesRequest, UpdateRouteRequest } from '../../src/gen/trafficmanager/v1/route_service.ts';
import { WatchRequest } from '../../src/gen/trafficmanager/v1/watch_service.ts';

const schema = await loadProtoSchema();

/** The bytes that proto-loader makes of the JSON. */
function encode(method: string, json: unknown): Uint8Array {
  const { definition, requestType } = schema.methods.get(`trafficmanager.v1.${method}`)!;
  return definition.requestSerialize(requestFromJson(schema, requestType, json));
}

test('every kind of value arrives as generated code reads it', () => {
  const update = encode('RouteService/UpdateRoute', {
    route: {
      key: { tenant: 'acme', version: 'v1' },
      endpoints: [{ url: 'grpc://a:1', weight: 0, labels: { rackRow: '7' } }],
      state: 'INACTIVE',
      revision: '9007199254740993',
      createTime: '2026-01-02T03:04:05.678Z',
      etag: null,
    },
    update_mask: 'endpoints,labels',
    allowMissing: true,
  });
  expect(UpdateRouteRequest.decode(update)).toMatchObject({
    route: {
      key: { tenant: 'acme', service: '', environment: '', version: 'v1' },
      endpoints: [{ url: 'grpc://a:1', weight: 0, labels: { rackRow: '7' } }],
      state: 2,
      revision: 9007199254740993n,
      createTime: new Date('2026-01-02T03:04:05.678Z'),
      etag: '',
    },
    updateMask: ['endpoints', 'labels'],
    allowMissing: true,
  });
});

test('members of a oneof, durations and optional fields are set like any other', () => {
  const resolve = encode('ResolverService/Resolve', { consistency: { max_staleness: '1.5s' }, attributes: { a: 'b' } });
  expect(ResolveRequest.decode(resolve)).toMatchObject({
    consistency: { requirement: { $case: 'maxStaleness', value: { seconds: 1n, nanos: 500_000_000 } } },
    attributes: { a: 'b' },
  });
  expect(WatchRequest.decode(encode('WatchService/Watch', { after_revision: 0 })).afterRevision).toBe(0n);
  expect(WatchRequest.decode(encode('WatchService/Watch', {})).afterRevision).toBeUndefined();
});

test.each(['DELETED', 'ROUTE_STATE_DELETED', 3])('an enum may be given as %s', (state) => {
  expect(ListRoutesRequest.decode(encode('RouteService/ListRoutes', { state })).state).toBe(3);
});

const TYPE = 'trafficmanager.v1.UpdateRouteRequest';

test.each([
  [[], `must be an object (${TYPE})`],
  [{ rout: {} }, 'unknown field "rout"; did you mean "route"?'],
  [{ constructor: {} }, /^unknown field "constructor"/],
  [{ route: { endpoints: {} } }, 'route.endpoints: must be a list'],
  [{ route: { endpoints: [{ url: 1 }] } }, 'route.endpoints[0].url: must be a string'],
  [
    { route: { endpoints: [{ weight: 1.5 }] } },
    /^route\.endpoints\[0\]\.weight: must be a whole number from -2147483648/,
  ],
  [{ route: { endpoints: [{ weight: 2 ** 31 }] } }, /^route\.endpoints\[0\]\.weight: must be a whole number/],
  [{ route: { revision: 2 ** 53 } }, /beyond 2\^53 write it in quotes/],
  [{ route: { labels: ['a'] } }, 'route.labels: must be an object'],
  [{ route: { labels: { a: 1 } } }, 'route.labels.a: must be a string'],
  [{ route: { state: 'ON' } }, /^route\.state: must be one of ROUTE_STATE_UNSPECIFIED, /],
  [{ route: { create_time: 'now' } }, /^route\.create_time: must be a time such as/],
  [{ allow_missing: 'yes' }, 'allow_missing: must be a boolean'],
])('%j is refused with its place', (json, message) => {
  const expected = typeof message === 'string' ? new RequestJsonError(message) : message;
  expect(() => requestFromJson(schema, TYPE, json)).toThrow(expected);
});
