const unitsMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

const timeoutPattern = /^(\d{1,8})([HMSmun])$/;

/** The milliseconds of a `grpc-timeout`: at most eight digits and a unit; undefined when it is none. */
export function timeoutMsFrom(text: string): number | undefined {
  const match = timeoutPattern.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * (unitsMs[match[2] ?? ''] ?? Number.NaN);
}

/** A `grpc-timeout`, in the finest unit whose eight digits hold it, rounded up: nobody is cut off early. */
export function timeoutFrom(timeoutMs: number): string {
  for (const unit of ['n', 'u', 'm', 'S', 'M'] as const) {
    const amount = Math.ceil(Math.max(0, timeoutMs) / (unitsMs[unit] ?? 1));
    if (amount < 1e8) return `${amount}${unit}`;
  }
  return `${Math.min(99_999_999, Math.ceil(timeoutMs / 3_600_000))}H`;
}
