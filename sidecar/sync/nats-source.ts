import type { Position } from '../../src/domain/change.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { Logger } from '../../src/platform/logger.ts';
import type { NatsLink } from '../../src/platform/nats/connect-nats.ts';
import type { Random } from '../../src/platform/random.ts';
import type { Schedule } from '../../src/platform/turns.ts';
import { sidecarLimits } from '../limits.ts';
import type { ChangeSink, ChangeSource, SourceEnd } from './change-source.ts';
import type { StreamPlace } from './nats-catch-up.ts';
import { NatsFollowing } from './nats-following.ts';
import { NatsTelling } from './nats-telling.ts';
import { unlessAborted } from './unless-aborted.ts';
import { WorkSlices } from './work-slices.ts';

export type NatsSourceOptions = {
  readonly link: NatsLink;
  /** Of this sidecar alone, of letters, digits, `-` and `_`: what its consumers are called. */
  readonly consumerName: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly schedule: Schedule;
  readonly logger: Logger;
  /** How long the relay may take while nothing is known yet, ms; as in the limits. A test on a busy machine gives it longer. */
  readonly joiningAskMsMax?: number;
};

/**
 * `nats://`: follows the change stream (change_stream.proto) over one connection. Changes are told by core NATS; what is lost there is
 * taken from JetStream; how fresh all of it is, only the relay's answers prove. Goes on through outages of the relay and of NATS.
 */
export class NatsSource implements ChangeSource {
  readonly #options: NatsSourceOptions;
  /** Of all tenants together. */
  readonly #slices: WorkSlices;
  /** Outlives the end of a following, because its follower's memory does. */
  readonly #places = new Map<string, StreamPlace>();

  constructor(options: NatsSourceOptions) {
    this.#options = options;
    const { clock, schedule } = options;
    this.#slices = new WorkSlices({ monotonicMs: () => clock.monotonicMs(), schedule, ...sidecarLimits.slices });
  }

  async follow(tenant: string, after: Position | undefined, sink: ChangeSink, signal: AbortSignal): Promise<SourceEnd> {
    const { link, clock } = this.#options;
    try {
      using waiting = new DisposableStack();
      const connected = new AbortController();
      waiting.defer(() => connected.abort());
      const isOver = AbortSignal.any([signal, connected.signal]);
      void clock.sleep(sidecarLimits.silenceMsMax, isOver).then(() => {
        if (!isOver.aborted) sink.cutOff('NATS is out of reach');
      });
      const connection = signal.aborted ? undefined : await unlessAborted(link.opened, signal);
      waiting.dispose();
      if (connection === undefined) return { kind: 'disconnected', error: new Error('it was stopped') };
      // Whatever is still under way when it ends must tell nothing any more.
      const ended = new AbortController();
      using following = new NatsFollowing({
        ...this.#options,
        slices: this.#slices,
        connection,
        tenant,
        telling: new NatsTelling({ tenant, sink, link, places: this.#places, clock, signal: ended.signal }),
        signal: AbortSignal.any([signal, ended.signal]),
      });
      return await following.run(after).finally(() => ended.abort());
    } catch (error) {
      return { kind: 'disconnected', error };
    }
  }
}
