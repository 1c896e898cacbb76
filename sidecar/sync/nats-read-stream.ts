import { createInbox, type Msg, type NatsConnection } from 'nats';
import type { Clock } from '../../src/platform/clock.ts';
import { streamName } from '../../src/wire/stream-subjects.ts';
import { natsSourceLimits } from '../limits.ts';
import { JetStreamError, requestJetStream } from './nats-requests.ts';
import { SilenceWatch } from './silence-watch.ts';
import { unlessAborted } from './unless-aborted.ts';

export type StreamMessage = { readonly sequence: number; readonly subject: string; readonly data: Uint8Array };

export type ReadStreamOptions = {
  readonly connection: NatsConnection;
  readonly tenant: string;
  /** Always the same of one sidecar: whatever happens, the server has one of a tenant at most. */
  readonly consumerName: string;
  /** Read what comes after this sequence; 0: everything. */
  readonly after: number;
  readonly onMessage: (message: StreamMessage) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
};

/** JetStream's own numbers (server/errors.json of nats-server). */
const consumerNotFound = 10_014;
const streamNotFound = 10_059;

/** Reads a tenant's stream until nothing is pending. Rejects when a message is lost on the way, and when it takes too long. */
export async function readStream(options: ReadStreamOptions): Promise<void> {
  const { connection, clock, signal } = options;
  await deleteConsumer(options);
  signal.throwIfAborted();
  const pending = await createConsumer(options);
  try {
    if (pending === 0) return;
    using silence = new SilenceWatch(clock, natsSourceLimits.pullSilenceMsMax);
    const pull = new Pull(options, silence);
    const subscription = connection.subscribe(pull.inbox, { callback: (error, message) => pull.take(error, message) });
    try {
      pull.ask();
      const stopped = AbortSignal.any([silence.tooLong, signal]);
      await unlessAborted(pull.ended, stopped);
      signal.throwIfAborted();
      if (silence.tooLong.aborted) throw new Error('the stream fell silent while it was read');
    } finally {
      subscription.unsubscribe();
    }
  } finally {
    await deleteConsumer(options).catch(() => {
      // The server forgets it by itself.
    });
  }
}

/** Asks for messages, some at a time, so that neither end has to keep more than that. */
class Pull {
  readonly inbox = createInbox();
  readonly #options: ReadStreamOptions;
  readonly #silence: SilenceWatch;
  readonly #ended = Promise.withResolvers<void>();
  #asked = 0;
  #consumerSequence = 0;

  constructor(options: ReadStreamOptions, silence: SilenceWatch) {
    this.#options = options;
    this.#silence = silence;
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  ask(): void {
    const { connection, tenant, consumerName } = this.#options;
    this.#asked += natsSourceLimits.pullMessagesMax;
    connection.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${streamName(tenant)}.${consumerName}`,
      JSON.stringify({ batch: natsSourceLimits.pullMessagesMax, no_wait: true }),
      { reply: this.inbox },
    );
  }

  take(error: Error | null, message: Msg): void {
    try {
      if (error !== null) throw error;
      this.#silence.broken();
      const status = message.headers?.code ?? 0;
      if (status !== 0) this.#takeStatus(status, message.headers?.description ?? '');
      else this.#takeMessage(message);
    } catch (failure) {
      this.#ended.reject(failure);
    }
  }

  #takeStatus(status: number, description: string): void {
    const noMessages = 404;
    if (status === noMessages) return this.#ended.resolve();
    throw new JetStreamError(status, description);
  }

  #takeMessage({ subject, data, reply = '' }: Msg): void {
    // $JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<time>.<pending>, of which newer servers may put
    // <domain>.<account> before the stream and something random at the end (ADR-15 of nats-architecture-and-design).
    const tokens = reply.split('.');
    const numbers = tokens.slice(tokens.length === 9 ? 5 : 7).map(Number);
    const [sequence = 0, consumerSequence = 0, , pending = 0] = numbers;
    if (consumerSequence !== this.#consumerSequence + 1)
      throw new Error(`message ${consumerSequence} of the stream came after message ${this.#consumerSequence}`);
    this.#consumerSequence = consumerSequence;
    this.#options.onMessage({ sequence, subject, data });
    if (pending === 0) return this.#ended.resolve();
    this.#asked--;
    if (this.#asked <= natsSourceLimits.pullMessagesMax / 2) this.ask();
  }
}

/** Makes the consumer; answers how many messages it has. */
async function createConsumer({ connection, tenant, consumerName, after }: ReadStreamOptions): Promise<number> {
  const start =
    after === 0 ? { deliver_policy: 'all' } : { deliver_policy: 'by_start_sequence', opt_start_seq: after + 1 };
  const config = {
    name: consumerName,
    ...start,
    ack_policy: 'none',
    replay_policy: 'instant',
    inactive_threshold: natsSourceLimits.consumerIdleNs,
    mem_storage: true,
    num_replicas: 1,
  };
  const stream = streamName(tenant);
  const body = { stream_name: stream, config };
  const created = await requestJetStream(connection, `CONSUMER.CREATE.${stream}.${consumerName}`, body);
  return 'num_pending' in created ? Number(created.num_pending) : 0;
}

async function deleteConsumer({ connection, tenant, consumerName }: ReadStreamOptions): Promise<void> {
  try {
    await requestJetStream(connection, `CONSUMER.DELETE.${streamName(tenant)}.${consumerName}`, {});
  } catch (error) {
    const isGone = error instanceof JetStreamError && [consumerNotFound, streamNotFound].includes(error.code);
    if (!isGone) throw error;
  }
}
