/** Something that is due at a time. Only the clock changes `dueMs`. */
export interface Alarm {
  dueMs: number;
  /** It is time. */
  ring(): void;
}

/** Time as an argument. Thousands of alarms must be cheap to set and to stop: most never ring. */
export interface AlarmClock {
  /** Milliseconds since some fixed moment; never goes back. */
  monotonicMs(): number;
  /** Milliseconds since the epoch, for deadlines that are shown to others. */
  wallMs(): number;
  /** Rings an alarm once, after `dueMs` on the monotonic clock; in the place of an earlier setting of it. */
  arm(alarm: Alarm, dueMs: number): void;
  disarm(alarm: Alarm): void;
}
