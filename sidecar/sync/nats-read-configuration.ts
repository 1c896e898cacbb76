import type { NatsConnection } from 'nats';
import type { Clock } from '../../src/platform/clock.ts';
import { metaSubject } from '../../src/wire/stream-subjects.ts';
import { decodeStreamChange } from '../../src/wire/stream-wire.ts';
import { natsSourceLimits } from '../limits.ts';
import { readStreamHead } from './nats-requests.ts';
import { readStream, type StreamMessage } from './nats-read-stream.ts';
import { streamHeadFrom, type Beacon, type StreamHead } from './nats-stream-messages.ts';
import { StreamReading } from './nats-stream-reading.ts';
import type { WaitingUpdates } from './nats-waiting-updates.ts';

export type ReadConfigurationOptions = {
  readonly connection: NatsConnection;
  readonly tenant: string;
  readonly consumerName: string;
  readonly head: StreamHead;
  /** What the relay said; undefined: it does not answer, and nothing new is to be expected. */
  readonly relay: Beacon | undefined;
  /** Read what comes after this sequence; 0: everything. */
  readonly after: number;
  /** What is told meanwhile: left where it is. */
  readonly waiting: WaitingUpdates;
  readonly prove: (reading: StreamReading) => Beacon | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
};

/**
 * Reads a tenant's stream, and goes on reading and listening until somebody's digest proves what was read: while it is written,
 * what was read belongs to no one moment until what was told meanwhile is laid over it.
 */
export async function readConfiguration(
  options: ReadConfigurationOptions,
): Promise<{ readonly reading: StreamReading; readonly provenBy: Beacon | undefined }> {
  const { connection, tenant, head, relay, waiting, prove, clock, signal } = options;
  const { proofAttemptsMax, unansweredProofAttemptsMax, proofPauseMs, rereadAttempts } = natsSourceLimits;
  const reading = new StreamReading(head);
  if (relay !== undefined) reading.addBeacon(relay);
  const onMessage = ({ sequence, subject, data }: StreamMessage): void => {
    if (subject === metaSubject(tenant)) reading.addHead(streamHeadFrom(data, sequence));
    else reading.addChange(decodeStreamChange(data), sequence);
  };
  const attemptsMax = relay === undefined ? unansweredProofAttemptsMax : proofAttemptsMax;
  for (let attempt = 0; attempt < attemptsMax && !signal.aborted && !reading.isOfAnotherEpoch; attempt++) {
    if (attempt > 0) await clock.sleep(proofPauseMs, signal);
    if (attempt % rereadAttempts === 0) {
      // A stream that was made anew begins with small sequence numbers: reading on would find nothing, and say nothing.
      if (attempt > 0 && (await readStreamHead(connection, tenant))?.epoch !== head.epoch) break;
      await readStream({ ...options, after: Math.max(options.after, attempt === 0 ? 0 : reading.sequence), onMessage });
    }
    for (const update of waiting.all) reading.addUpdate(update);
    const provenBy = reading.isOfAnotherEpoch ? undefined : prove(reading);
    if (provenBy !== undefined) return { reading, provenBy };
  }
  return { reading, provenBy: undefined };
}
