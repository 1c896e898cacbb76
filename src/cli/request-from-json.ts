import { suggestion } from '../platform/closest-name.ts';
import { durationFromMs, parseDurationMs } from './duration.ts';
import { resolveTypeName, type FieldDescriptor, type MessageDescriptor, type ProtoSchema } from './proto-schema.ts';

/** JSON that is no request of the type; the message begins with the path of what is wrong. */
export class RequestJsonError extends Error {
  override readonly name = 'RequestJsonError';
}

interface Place {
  readonly schema: ProtoSchema;
  /** The full name of the message that holds the field. */
  readonly scope: string;
  /** Of the value, for messages: `route.endpoints[0]`. */
  readonly path: string;
}

/**
 * The request that proto3 JSON describes (https://protobuf.dev/programming-guides/json), as proto-loader takes it. Fields go by
 * their proto or their JSON name, enums by name with or without the prefix, timestamps as RFC 3339, durations as `1.5s`, field
 * masks as `endpoints,labels`, int64 as a number or a string. Stricter than proto-loader, which drops what it does not know.
 *
 * @throws RequestJsonError
 */
export function requestFromJson(schema: ProtoSchema, typeName: string, json: unknown): object {
  return toMessage(json, { schema, scope: typeName, path: '' });
}

function toMessage(json: unknown, { schema, scope, path }: Place): object {
  const descriptor = schema.messages.get(scope);
  if (descriptor === undefined) throw wrong(path, `has the unknown type ${scope}`);
  if (!isObject(json)) throw wrong(path, `must be an object (${scope})`);
  const entries = Object.entries(json).flatMap(([name, value]): [string, unknown][] => {
    const field = descriptor.field.find((known) => known.name === name || jsonName(known.name) === name);
    if (field === undefined) throw wrong(path, unknownField(name, descriptor));
    if (value === null) return [];
    const place = { schema, scope, path: path === '' ? name : `${path}.${name}` };
    return [[field.name, toFieldValue(value, field, place)]];
  });
  return Object.fromEntries(entries);
}

function toFieldValue(json: unknown, field: FieldDescriptor, place: Place): unknown {
  if (field.label !== 'LABEL_REPEATED') return toSingleValue(json, field, place);
  const { schema, scope, path } = place;
  const entryType = resolveTypeName(schema.messages, field.typeName, scope);
  const entry = field.type === 'TYPE_MESSAGE' ? schema.messages.get(entryType) : undefined;
  const valueField = entry?.options?.mapEntry === true ? entry.field.find(({ name }) => name === 'value') : undefined;
  if (valueField !== undefined) {
    if (!isObject(json)) throw wrong(path, 'must be an object');
    const entries = Object.entries(json).map(([key, value]) => [
      key,
      toSingleValue(value, valueField, { schema, scope: entryType, path: `${path}.${key}` }),
    ]);
    return Object.fromEntries(entries) as object;
  }
  if (!Array.isArray(json)) throw wrong(path, 'must be a list');
  return json.map((element, index) => toSingleValue(element, field, { ...place, path: `${path}[${index}]` }));
}

function toSingleValue(json: unknown, field: FieldDescriptor, place: Place): unknown {
  switch (field.type) {
    case 'TYPE_MESSAGE':
      return toMessageValue(json, field, place);
    case 'TYPE_ENUM':
      return toEnumNumber(json, field, place);
    case 'TYPE_STRING':
      return expectKind(json, 'string', place.path);
    case 'TYPE_BOOL':
      return expectKind(json, 'boolean', place.path);
    case 'TYPE_DOUBLE':
    case 'TYPE_FLOAT':
      return expectKind(json, 'number', place.path);
    case 'TYPE_BYTES':
      return Buffer.from(expectKind(json, 'string', place.path), 'base64');
    default:
      return toInteger(json, field, place.path);
  }
}

function toMessageValue(json: unknown, field: FieldDescriptor, { schema, scope, path }: Place): object {
  const typeName = resolveTypeName(schema.messages, field.typeName, scope);
  switch (typeName) {
    case 'google.protobuf.Timestamp': {
      const epochMs = Date.parse(expectKind(json, 'string', path));
      if (Number.isNaN(epochMs)) throw wrong(path, 'must be a time such as 2026-01-31T12:00:00Z');
      return fromSeconds(durationFromMs(epochMs));
    }
    case 'google.protobuf.Duration': {
      const durationMs = parseDurationMs(expectKind(json, 'string', path));
      if (durationMs === undefined) throw wrong(path, 'must be a duration such as 1.5s');
      return fromSeconds(durationFromMs(durationMs));
    }
    case 'google.protobuf.FieldMask':
      return { paths: expectKind(json, 'string', path).split(',') };
    default:
      return toMessage(json, { schema, scope: typeName, path });
  }
}

function fromSeconds({ seconds, nanos }: { seconds: bigint; nanos: number }): object {
  return { seconds: seconds.toString(), nanos };
}

function toEnumNumber(json: unknown, field: FieldDescriptor, { schema, scope, path }: Place): number {
  const typeName = resolveTypeName(schema.enums, field.typeName, scope);
  const values = schema.enums.get(typeName)?.value ?? [];
  const prefix = values[0]?.name.replace(/UNSPECIFIED$/, '') ?? '';
  const found = values.find(
    ({ name, number }) => json === name || json === number || `${prefix}${String(json)}` === name,
  );
  if (found === undefined) throw wrong(path, `must be one of ${values.map(({ name }) => name).join(', ')}`);
  return found.number;
}

const integerRanges: Readonly<Record<string, readonly [bigint, bigint]>> = {
  TYPE_INT32: [-(2n ** 31n), 2n ** 31n - 1n],
  TYPE_SINT32: [-(2n ** 31n), 2n ** 31n - 1n],
  TYPE_SFIXED32: [-(2n ** 31n), 2n ** 31n - 1n],
  TYPE_UINT32: [0n, 2n ** 32n - 1n],
  TYPE_FIXED32: [0n, 2n ** 32n - 1n],
  TYPE_INT64: [-(2n ** 63n), 2n ** 63n - 1n],
  TYPE_SINT64: [-(2n ** 63n), 2n ** 63n - 1n],
  TYPE_SFIXED64: [-(2n ** 63n), 2n ** 63n - 1n],
  TYPE_UINT64: [0n, 2n ** 64n - 1n],
  TYPE_FIXED64: [0n, 2n ** 64n - 1n],
};

function toInteger(json: unknown, { type }: FieldDescriptor, path: string): string | number {
  const range = integerRanges[type];
  if (range === undefined) throw wrong(path, `has a type that JSON cannot give (${type})`);
  const exact = Number.isSafeInteger(json) || (typeof json === 'string' && /^-?\d{1,20}$/.test(json));
  const integer = exact ? BigInt(json as string | number) : undefined;
  const [min, max] = range;
  if (integer === undefined || integer < min || integer > max) {
    throw wrong(path, `must be a whole number from ${min} to ${max}; beyond 2^53 write it in quotes`);
  }
  // 64 bits do not fit a number, and 32 bits must be one.
  return type.endsWith('64') ? integer.toString() : Number(integer);
}

interface Kinds {
  readonly string: string;
  readonly boolean: boolean;
  readonly number: number;
}

function expectKind<Kind extends keyof Kinds>(json: unknown, kind: Kind, path: string): Kinds[Kind] {
  // The check is the assertion; TypeScript cannot follow a typeof with a name.
  if (typeof json !== kind) throw wrong(path, `must be a ${kind}`);
  return json as Kinds[Kind];
}

function unknownField(name: string, descriptor: MessageDescriptor): string {
  const known = descriptor.field.map((field) => field.name);
  return `unknown field "${name}"${suggestion(name, known) || `; known are ${known.join(', ')}`}`;
}

function jsonName(name: string): string {
  return name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function isObject(json: unknown): json is Record<string, unknown> {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

function wrong(path: string, what: string): RequestJsonError {
  return new RequestJsonError(path === '' ? what : `${path}: ${what}`);
}
