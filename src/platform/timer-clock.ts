import type { Clock } from './clock.ts';
import { DeadlineWheel, type Due } from './deadline-wheel.ts';

/** Something that is due at a time, and is told when it is. */
export interface Alarm extends Due {
  ring(): void;
}

/** How exact alarms are, ms: they ring up to two ticks late. A round of the wheel takes 2 s: an idle connection wakes its program no more often. */
const tickMs = 4;

/**
 * Alarms that keep no process alive, on one wheel with one timer of the runtime. A timer for each cost a call 3 µs, for nearly all are
 * stopped long before they are due.
 */
export class TimerClock {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'wallMs'>;
  readonly #wheel: DeadlineWheel<Alarm>;

  constructor(clock: Pick<Clock, 'monotonicMs' | 'wallMs'>) {
    this.#clock = clock;
    this.#wheel = new DeadlineWheel<Alarm>({
      clock: { monotonicMs: () => clock.monotonicMs(), wallMs: () => clock.wallMs(), sleep: sleepInBackground },
      tickMs,
      onDue: (alarm) => alarm.ring(),
    });
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
}

function sleepInBackground(durationMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, durationMs).unref();
    signal?.addEventListener('abort', finish, { once: true });
  });
}
