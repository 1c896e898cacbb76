import type { Clock } from './clock.ts';
import type { Due } from './deadline-wheel.ts';

/** Something that is due at a time, and is told when it is. */
export interface Alarm extends Due {
  ring(): void;
}

/** The longest that a timer of the runtime takes, ms: 24 days; beyond it would ring at once. */
const timerMsMax = 2 ** 31 - 1;

/**
 * Alarms as timers of the runtime, which keep no process alive. Not a wheel: that looks a hundred times a second
 * while a connection is there, in programs that make a call now and then.
 */
export class TimerClock {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'wallMs'>;
  readonly #timers = new Map<Alarm, NodeJS.Timeout>();

  constructor(clock: Pick<Clock, 'monotonicMs' | 'wallMs'>) {
    this.#clock = clock;
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  wallMs(): number {
    return this.#clock.wallMs();
  }

  arm(alarm: Alarm, dueMs: number): void {
    this.disarm(alarm);
    alarm.dueMs = dueMs;
    // A timer may be early by less than its unit; a deadline must not be.
    const inMs = Math.min(Math.max(0, Math.ceil(dueMs - this.monotonicMs())) + 1, timerMsMax);
    const timer = setTimeout(() => {
      this.#timers.delete(alarm);
      alarm.ring();
    }, inMs);
    timer.unref();
    this.#timers.set(alarm, timer);
  }

  disarm(alarm: Alarm): void {
    const timer = this.#timers.get(alarm);
    if (timer === undefined) return;
    clearTimeout(timer);
    this.#timers.delete(alarm);
  }
}
