import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/logger.ts';
import type { ChangeStream } from '../../ports/change-stream.ts';
import type { ConfigurationStore } from '../../ports/configuration-store.ts';
import type { StreamRecords } from '../../ports/stream-records.ts';
import type { Replica } from '../replica.ts';
import type { Leadership } from './leadership.ts';

export type RelayOptions = {
  readonly replica: Replica;
  readonly store: ConfigurationStore;
  readonly stream: ChangeStream;
  readonly leadership: Leadership;
  readonly records: StreamRecords;
  readonly newEpoch: () => string;
  /** How long tombstones stay in the streams, ms. */
  readonly tombstoneKeepMs: number;
  /** How often each stream is compared with Postgres, entry by entry, ms. */
  readonly reconcileIntervalMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
};
