import type { Duration } from '../gen/google/protobuf/duration.ts';

/** A protobuf duration in milliseconds; with a fraction when it has less than a millisecond in it. */
export function durationFromWire(duration: Duration): number {
  return Number(duration.seconds) * 1_000 + duration.nanos / 1e6;
}

/** Milliseconds, not negative, as a protobuf duration. */
export function durationToWire(durationMs: number): Duration {
  const seconds = Math.floor(durationMs / 1_000);
  return { seconds: BigInt(seconds), nanos: Math.round((durationMs - seconds * 1_000) * 1e6) };
}
