import type { At } from '../domain/freshness.ts';
import type { Violations } from '../domain/validation.ts';

/** `at` of a request: either part of it, or not set. */
type WireAt =
  | { readonly $case: 'atRevision'; readonly value: bigint }
  | { readonly $case: 'atTime'; readonly value: Date }
  | undefined;

/** What protobuf's Timestamp can say: years 1 to 9999. */
const earliestMs = Date.parse('0001-01-01T00:00:00Z');
const latestMs = Date.parse('9999-12-31T23:59:59.999Z');

/** A point in the past; adds what is wrong with it. */
export function atFromWire(violations: Violations, wire: WireAt): At | undefined {
  switch (wire?.$case) {
    case undefined:
      return undefined;
    case 'atRevision': {
      const revision = Number(wire.value);
      violations.integer('at_revision', revision, { min: 1, max: Number.MAX_SAFE_INTEGER });
      return { kind: 'at_revision', revision };
    }
    case 'atTime':
      return { kind: 'at_time', timeMs: timeFromWire(violations, 'at_time', wire.value) };
  }
}

/** The other way round. */
export function atToWire(at: At): NonNullable<WireAt> {
  switch (at.kind) {
    case 'at_revision':
      return { $case: 'atRevision', value: BigInt(at.revision) };
    case 'at_time':
      return { $case: 'atTime', value: new Date(at.timeMs) };
  }
}

/** A timestamp in milliseconds since the epoch; what it has below a millisecond is cut off. Adds what is wrong with it. */
export function timeFromWire(violations: Violations, field: string, time: Date): number {
  const timeMs = time.getTime();
  if (timeMs >= earliestMs && timeMs <= latestMs) return timeMs;
  violations.add(field, 'must be a moment of the years 1 to 9999');
  return 0;
}
