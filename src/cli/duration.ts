const durationForm = /^(?<amount>\d+(?:\.\d+)?)(?<unit>ms|s|m|h)$/;
const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Milliseconds of `250ms`, `1.5s`, `2m` or `1h`; undefined when it is none of them. */
export function parseDurationMs(text: string): number | undefined {
  const { amount, unit } = durationForm.exec(text)?.groups ?? {};
  const unitMs = unitsMs[unit ?? ''];
  return unitMs === undefined ? undefined : Number(amount) * unitMs;
}

/** As `google.protobuf.Duration` holds it. */
export function durationFromMs(durationMs: number): { seconds: bigint; nanos: number } {
  const seconds = Math.floor(durationMs / 1_000);
  return { seconds: BigInt(seconds), nanos: Math.round((durationMs - seconds * 1_000) * 1_000_000) };
}
