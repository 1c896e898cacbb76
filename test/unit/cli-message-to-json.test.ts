import { CircuitBreakerState, SynchronizationState } from '../../src/gen/trafficmanager/v1/sidecar_service.ts';
import { describe, expect, test } from 'vitest';
import {
  ChangeAction,
  ChangeOrder,
  FreshnessSource,
  LoadBalancing,
  LocalityPreference,
  message,
  Route,
  RouteState,
  SelectionReason,
  Tenant,
  TenantState,
} from '../../src/client/index.ts';
import {
  durationFields,
  enumFields,
  mapFields,
  messageToJson,
  tenantEnumFields,
} from '../../src/cli/message-to-json.ts';
import { loadProtoSchema, resolveTypeName } from '../../src/cli/proto-schema.ts';

const { messages, enums } = await loadProtoSchema();
const fields = [...messages]
  .filter(([scope, { options }]) => scope.startsWith('trafficmanager.v1.') && options?.mapEntry !== true)
  .flatMap(([scope, { field }]) => field.map((each) => ({ ...each, scope })));

describe('the printer knows every field of the protos', () => {
  const namesOf = {
    RouteState,
    TenantState,
    ChangeAction,
    ChangeOrder,
    FreshnessSource,
    SelectionReason,
    LoadBalancing,
    LocalityPreference,
    SynchronizationState,
    CircuitBreakerState,
  };

  test('its enums, each field name meaning one, but in a tenant', () => {
    const isOfTenant = ({ scope }: { scope: string }) => scope === 'trafficmanager.v1.Tenant';
    const enumsOf = (some: typeof fields) =>
      Object.fromEntries(
        some
          .filter(({ type }) => type === 'TYPE_ENUM')
          .map(({ name, typeName, scope }) => {
            const enumName = enums.get(resolveTypeName(enums, typeName, scope))?.name;
            return [name, namesOf[enumName as keyof typeof namesOf]];
          }),
      );
    expect(enumFields).toEqual(enumsOf(fields.filter((field) => !isOfTenant(field))));
    expect(tenantEnumFields).toEqual(enumsOf(fields.filter(isOfTenant)));
    const enumsByField = Map.groupBy(
      fields.filter((field) => field.name in enumFields && !isOfTenant(field)),
      ({ name }) => name,
    );
    for (const uses of enumsByField.values()) expect(new Set(uses.map(({ typeName }) => typeName)).size).toBe(1);
  });

  test('its maps, no field of the same name being anything else than a list of messages', () => {
    const isMap = ({ scope, typeName }: { scope: string; typeName: string }) =>
      messages.get(resolveTypeName(messages, typeName, scope))?.options?.mapEntry === true;
    const names = new Set(fields.filter(isMap).map(({ name }) => name));
    // ErrorInfo stands in the answers of BatchResolve.
    expect(mapFields).toEqual(new Set([...names, 'metadata']));
    // A list cannot be taken for a map.
    const others = fields.filter((field) => mapFields.has(field.name) && !isMap(field));
    expect(others.map(({ scope, name, label }) => [scope, name, label])).toEqual([
      ['trafficmanager.v1.MatchRule', 'attributes', 'LABEL_REPEATED'],
    ]);
  });

  test('its timestamps, by the name that AIP-142 gives them', () => {
    const isTimestamp = ({ typeName }: { typeName: string }) => typeName === 'google.protobuf.Timestamp';
    const named = fields.filter(({ name }) => name.endsWith('_time'));
    expect(named.filter((field) => !isTimestamp(field)).map(({ name, typeName }) => [name, typeName])).toEqual(
      [...durationFields].map((name) => [name, 'google.protobuf.Duration']),
    );
    expect(fields.filter(isTimestamp).every(({ name }) => name.endsWith('_time'))).toBe(true);
  });
});

test('a message has the names of its proto, enums by name, times as RFC 3339', () => {
  const route = message(Route, {
    key: { tenant: 'acme', service: 'cart', environment: 'production', version: 'v1' },
    endpoints: [{ url: 'grpc://a:1', zone: '', priority: 0, labels: { rackRow: '7' } }],
    state: RouteState.ROUTE_STATE_INACTIVE,
    revision: 7n,
    createTime: new Date('2026-01-02T03:04:05.678Z'),
  });
  expect(messageToJson(route)).toEqual({
    key: { tenant: 'acme', service: 'cart', environment: 'production', version: 'v1' },
    endpoints: [{ url: 'grpc://a:1', zone: '', priority: 0, labels: { rackRow: '7' } }],
    state: 'ROUTE_STATE_INACTIVE',
    revision: 7,
    etag: '',
    labels: {},
    create_time: '2026-01-02T03:04:05.678Z',
    updated_by: '',
  });
});

test('a deleted tenant is not a route that is inactive', () => {
  const tenant = message(Tenant, { tenant: 'acme', state: TenantState.TENANT_STATE_DELETED });
  const route = message(Route, { state: RouteState.ROUTE_STATE_INACTIVE });
  expect(messageToJson({ tenant, route })).toMatchObject({
    tenant: { state: 'TENANT_STATE_DELETED' },
    route: { state: 'ROUTE_STATE_INACTIVE' },
  });
});

test.each([
  ['an exact int64', 2n ** 53n - 1n, 9007199254740991],
  ['an int64 beyond', 2n ** 53n, '9007199254740992'],
  ['a Long', { low: -1, high: -1, unsigned: false }, -1],
  ['a large Long', { low: -1, high: 2147483647, unsigned: false }, '9223372036854775807'],
  ['a duration', { seconds: 1n, nanos: 500_000_000 }, '1.5s'],
  ['a negative duration', { seconds: 0n, nanos: -1 }, '-0.000000001s'],
  ['bytes', Buffer.from('hi'), 'aGk='],
  ['a oneof', { event: { $case: 'changeBatch', value: { changes: [] } } }, { change_batch: { changes: [] } }],
  [
    'a duration of proto-loader',
    { window: { seconds: { low: 2, high: 0, unsigned: false }, nanos: 0 } },
    { window: '2s' },
  ],
  [
    'a duration that is named as a time',
    { baseEjectionTime: { seconds: 30n, nanos: 0 } },
    { base_ejection_time: '30s' },
  ],
  [
    'a rule with conditions',
    { attributes: [{ name: 'xUser', predicate: { $case: 'present', value: false } }], method: '' },
    { attributes: [{ name: 'xUser', present: false }], method: '' },
  ],
  [
    'a condition of proto-loader',
    { attributes: [{ name: 'x', regex: 'a+' }] },
    { attributes: [{ name: 'x', regex: 'a+' }] },
  ],
  ['what is absent', { a: undefined, b: null, c: 0 }, { c: 0 }],
  ['an enum value of a newer server', { state: 99 }, { state: 99 }],
  ['labels that look like a oneof', { labels: { $case: 'x', value: 'y' } }, { labels: { $case: 'x', value: 'y' } }],
  [
    'a timestamp of proto-loader',
    { create_time: { seconds: { low: 1, high: 0, unsigned: false }, nanos: 5_000_000 } },
    { create_time: '1970-01-01T00:00:01.005Z' },
  ],
])('%s', (_what, value, json) => {
  expect(messageToJson(value)).toEqual(json);
});
