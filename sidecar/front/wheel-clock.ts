import type { Clock } from '../../src/platform/clock.ts';
import { DeadlineWheel } from '../../src/platform/deadline-wheel.ts';
import type { Alarm, AlarmClock } from '../wire/alarm.ts';

/** How exact deadlines are, ms: an alarm rings up to one tick late. */
const tickMs = 10;

/** The engine's alarms on one wheel: thousands of deadlines cost one timer. */
export class WheelClock implements AlarmClock, Disposable {
  readonly #clock: Clock;
  readonly #wheel: DeadlineWheel<Alarm>;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#wheel = new DeadlineWheel<Alarm>({ clock, tickMs, onDue: (alarm) => alarm.ring() });
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  wallMs(): number {
    return this.#clock.wallMs();
  }

  arm(alarm: Alarm, dueMs: number): void {
    // The wheel may be a tick too early; a deadline must not be.
    this.#wheel.arm(alarm, dueMs + tickMs);
  }

  disarm(alarm: Alarm): void {
    this.#wheel.disarm(alarm);
  }

  [Symbol.dispose](): void {
    this.#wheel[Symbol.dispose]();
  }
}
