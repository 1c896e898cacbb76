import type { Clock } from '../../src/platform/clock.ts';
import type { Logger } from '../../src/platform/logger.ts';
import { connectNats } from '../../src/platform/nats/connect-nats.ts';
import { newId, type Random } from '../../src/platform/random.ts';
import type { Schedule } from '../../src/platform/turns.ts';
import type { ChangeSource } from './change-source.ts';
import { NatsSource } from './nats-source.ts';

export type OpenNatsSourceOptions = {
  /** `nats://host:port`, with `user:password@` where the server wants one. */
  readonly url: string;
  /** Closes the connection. */
  readonly started: AsyncDisposableStack;
  readonly clock: Clock;
  readonly random: Random;
  readonly schedule: Schedule;
  readonly logger: Logger;
};

/** A connection of this sidecar's own to NATS, and what follows the change stream over it. All that is in it is loaded only by those who use it. */
export function openNatsSource({ url, started, logger, ...machine }: OpenNatsSourceOptions): ChangeSource {
  const id = newId();
  const link = started.use(connectNats({ url, name: `traffic-manager sidecar ${id}`, logger }));
  return new NatsSource({ link, consumerName: `sidecar_${id}`, logger, ...machine });
}
