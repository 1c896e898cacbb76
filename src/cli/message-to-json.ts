import {
  ChangeAction,
  ChangeOrder,
  ChangeStreamConnection,
  CircuitBreakerState,
  FreshnessSource,
  LoadBalancing,
  LocalityPreference,
  RouteState,
  SelectionReason,
  SynchronizationState,
  TenantState,
} from '../client/index.ts';

/** What JSON and YAML can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/**
 * Fields that hold an enum, by name. Generated messages hold numbers, and numbers do not tell what they mean; a unit test
 * compares this table and the next one with the protos, so that a new field cannot be forgotten.
 */
export const enumFields: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  state: RouteState,
  action: ChangeAction,
  actions: ChangeAction,
  order: ChangeOrder,
  source: FreshnessSource,
  selection_reason: SelectionReason,
  load_balancing: LoadBalancing,
  locality_preference: LocalityPreference,
  connection: ChangeStreamConnection,
  synchronization_state: SynchronizationState,
  breaker_state: CircuitBreakerState,
};

/** What its fields hold instead in a tenant, which is known by its display name. */
export const tenantEnumFields: typeof enumFields = { state: TenantState };

/** Fields that hold a map, unless they are a list: its keys are data, and stay as they are. */
export const mapFields: ReadonlySet<string> = new Set(['labels', 'attributes', 'metadata']);

/** Durations whose name is that of a timestamp (AIP-142). */
export const durationFields: ReadonlySet<string> = new Set(['base_ejection_time']);

/**
 * A message as proto3 JSON (https://protobuf.dev/programming-guides/json) with the names of the proto files: snake case fields,
 * enums by name, timestamps as RFC 3339, durations as `1.5s`, int64 as a number where that is exact and as a string beyond.
 * Defaults are shown, what is absent is left out. Takes messages of ts-proto and of proto-loader alike, by the shape of their
 * values.
 */
export function messageToJson(value: unknown): Json {
  return toJson(value, '');
}

function toJson(value: unknown, field: string): Json {
  if (typeof value === 'bigint') return exactNumber(value);
  if (typeof value === 'number') return nameIn(enumFields[field], value) ?? value;
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map((element) => toJson(element, mapFields.has(field) ? '' : field));
  if (typeof value === 'object' && value !== null) return objectToJson(value, field);
  return null;
}

function objectToJson(value: object, field: string): Json {
  if (isLong(value)) return exactNumber(int64Of(value));
  if (isSecondsAndNanos(value)) return isTimestamp(field) ? timestamp(value) : duration(value);
  const entries: [string, Json][] = [];
  const isTenant = 'displayName' in value || 'display_name' in value;
  for (const [name, fieldValue] of Object.entries<unknown>({ ...value })) {
    if (fieldValue === undefined || fieldValue === null) continue;
    if (mapFields.has(field)) entries.push([name, toJson(fieldValue, '')]);
    else if (isTenant && typeof fieldValue === 'number' && name in tenantEnumFields)
      entries.push([name, nameIn(tenantEnumFields[name], fieldValue) ?? fieldValue]);
    // ts-proto names the member of a oneof in a wrapper; on paper it is a field like any other.
    else if (!mapFields.has(name) && isOneof(fieldValue)) entries.push(fieldEntry(fieldValue.$case, fieldValue.value));
    else entries.push(fieldEntry(name, fieldValue));
  }
  return Object.fromEntries(entries);
}

function fieldEntry(name: string, value: unknown): [string, Json] {
  const protoName = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return [protoName, toJson(value, protoName)];
}

function exactNumber(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}

function nameIn(names: Readonly<Record<string, number>> | undefined, value: number): string | undefined {
  return names === undefined ? undefined : Object.keys(names).find((name) => names[name] === value);
}

/** An int64 of protobufjs, known by its shape: https://github.com/dcodeIO/long.js. */
interface Long {
  readonly low: number;
  readonly high: number;
  readonly unsigned: boolean;
}

interface SecondsAndNanos {
  readonly seconds: bigint | Long;
  readonly nanos: number;
}

function isTimestamp(field: string): boolean {
  return field.endsWith('_time') && !durationFields.has(field);
}

function timestamp({ seconds, nanos }: SecondsAndNanos): string {
  return new Date(Number(int64Of(seconds)) * 1_000 + nanos / 1_000_000).toISOString();
}

function duration({ seconds, nanos }: SecondsAndNanos): string {
  // Both parts of a negative duration are negative.
  const sign = nanos < 0 || int64Of(seconds) < 0n ? '-' : '';
  const whole = int64Of(seconds).toString().replace('-', '');
  const fraction = String(Math.abs(nanos)).padStart(9, '0').replace(/0+$/, '');
  return `${sign}${whole}${fraction === '' ? '' : `.${fraction}`}s`;
}

function int64Of(value: bigint | Long): bigint {
  if (typeof value === 'bigint') return value;
  const bits = (BigInt(value.high) << 32n) | BigInt(value.low >>> 0);
  return value.unsigned ? BigInt.asUintN(64, bits) : BigInt.asIntN(64, bits);
}

function isSecondsAndNanos(value: object): value is SecondsAndNanos {
  if (Object.keys(value).length !== 2 || !('seconds' in value) || !('nanos' in value)) return false;
  return typeof value.nanos === 'number' && (typeof value.seconds === 'bigint' || isLong(value.seconds));
}

function isLong(value: unknown): value is Long {
  if (typeof value !== 'object' || value === null || !('low' in value && 'high' in value && 'unsigned' in value))
    return false;
  return typeof value.low === 'number' && typeof value.high === 'number';
}

function isOneof(value: unknown): value is { $case: string; value: unknown } {
  return typeof value === 'object' && value !== null && '$case' in value && typeof value.$case === 'string';
}
