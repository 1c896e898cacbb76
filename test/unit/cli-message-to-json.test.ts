import { describe, expect, test } from 'vitest';
import { ChangeAction, FreshnessSource, message, Route, RouteState, SelectionReason } from '../../src/client/index.ts';
import { enumFields, mapFields, messageToJson } from '../../src/cli/message-to-json.ts';
import { loadProtoSchema, resolveTypeName } from '../../src/cli/proto-schema.ts';

const { messages, enums } = await loadProtoSchema();
const fields = [...messages]
  .filter(([scope, { options }]) => scope.startsWith('trafficmanager.v1.') && options?.mapEntry !== true)
  .flatMap(([scope, { field }]) => field.map((each) => ({ ...each, scope })));

describe('the printer knows every field of the protos', () => {
  const namesOf = { RouteState, ChangeAction, FreshnessSource, SelectionReason };

  test('its enums, each field name meaning one', () => {
    const expected = Object.fromEntries(
      fields
        .filter(({ type }) => type === 'TYPE_ENUM')
        .map(({ name, typeName, scope }) => {
          const enumName = enums.get(resolveTypeName(enums, typeName, scope))?.name;
          return [name, namesOf[enumName as keyof typeof namesOf]];
        }),
    );
    expect(enumFields).toEqual(expected);
    const enumsByField = Map.groupBy(
      fields.filter(({ name }) => name in enumFields),
      ({ name }) => name,
    );
    for (const uses of enumsByField.values()) expect(new Set(uses.map(({ typeName }) => typeName)).size).toBe(1);
  });

  test('its maps, no field of the same name being anything else', () => {
    const isMap = ({ scope, typeName }: { scope: string; typeName: string }) =>
      messages.get(resolveTypeName(messages, typeName, scope))?.options?.mapEntry === true;
    const names = new Set(fields.filter(isMap).map(({ name }) => name));
    // ErrorInfo stands in the answers of BatchResolve.
    expect(mapFields).toEqual(new Set([...names, 'metadata']));
    expect(fields.filter((field) => mapFields.has(field.name) && !isMap(field))).toEqual([]);
  });

  test('its timestamps, by the name that AIP-142 gives them', () => {
    const isTimestamp = ({ typeName }: { typeName: string }) => typeName === 'google.protobuf.Timestamp';
    expect(fields.filter(({ name }) => name.endsWith('_time')).every(isTimestamp)).toBe(true);
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

test.each([
  ['an exact int64', 2n ** 53n - 1n, 9007199254740991],
  ['an int64 beyond', 2n ** 53n, '9007199254740992'],
  ['a Long', { low: -1, high: -1, unsigned: false }, -1],
  ['a large Long', { low: -1, high: 2147483647, unsigned: false }, '9223372036854775807'],
  ['a duration', { seconds: 1n, nanos: 500_000_000 }, '1.5s'],
  ['a negative duration', { seconds: 0n, nanos: -1 }, '-0.000000001s'],
  ['bytes', Buffer.from('hi'), 'aGk='],
  ['a oneof', { event: { $case: 'changeBatch', value: { changes: [] } } }, { change_batch: { changes: [] } }],
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
