import type { Alarm, AlarmClock } from '../../sidecar/wire/alarm.ts';

/** Time that a test moves by hand: alarms ring, in order, when it passes them. */
export class FakeAlarmClock implements AlarmClock {
  readonly #armed = new Set<Alarm>();
  #nowMs = 1_000;

  get armedCount(): number {
    return this.#armed.size;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  arm(alarm: Alarm, dueMs: number): void {
    alarm.dueMs = dueMs;
    this.#armed.add(alarm);
  }

  disarm(alarm: Alarm): void {
    this.#armed.delete(alarm);
  }

  advance(durationMs: number): void {
    const endMs = this.#nowMs + durationMs;
    for (;;) {
      const next = [...this.#armed].toSorted((left, right) => left.dueMs - right.dueMs)[0];
      if (next === undefined || next.dueMs > endMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      this.#armed.delete(next);
      next.ring();
    }
    this.#nowMs = endMs;
  }
}
