import type { AlarmClock } from './alarm.ts';
import type { BufferPool } from './buffer-pool.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { Repeated } from './hpack/header-encoder.ts';
import type { WireLimits } from './limits.ts';
import type { FlushQueue } from './turn.ts';

/** What all connections of one server or client share. */
export type Surroundings = {
  readonly limits: WireLimits;
  readonly clock: AlarmClock;
  readonly turn: FlushQueue;
  readonly pool: BufferPool;
  readonly budget: ByteBudget;
  /** Header fields that we send again and again. */
  readonly repeated: Repeated;
};
