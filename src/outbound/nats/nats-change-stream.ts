import {
  headers,
  nuid,
  RetentionPolicy,
  StorageType,
  DiscardPolicy,
  type JetStreamClient,
  type JetStreamManager,
  type NatsConnection,
  type StreamInfo,
} from 'nats';
import type { Change } from '../../domain/change.ts';
import type { StreamMeta, StreamUpdate } from '../../domain/stream-position.ts';
import type { NatsLink } from '../../platform/nats/connect-nats.ts';
import {
  ChangeStreamError,
  type ChangeStream,
  type StreamBatch,
  type StreamEntry,
  type StreamHead,
  type StreamQuestion,
} from '../../ports/change-stream.ts';
import {
  anyAskSubject,
  changeSubject,
  liveSubject,
  metaSubject,
  streamName,
  streamSubjects,
  tenantOfSubject,
} from '../../wire/stream-subjects.ts';
import {
  decodeStreamMeta,
  encodeStreamAnswer,
  encodeStreamChange,
  encodeStreamMeta,
  encodeStreamUpdate,
} from '../../wire/stream-wire.ts';
import { streamCallLimits } from './limits.ts';
import { readEntries } from './read-entries.ts';
import { asStreamError, isNoMessage, isNotFound, streamCall } from './stream-call.ts';

type Api = { readonly connection: NatsConnection; readonly js: JetStreamClient; readonly jsm: JetStreamManager };

type Message = {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly id: string;
  readonly correlationId: string;
};

/** Where a message belongs: after that sequence number, and after the message with that id if that is one of its own batch. */
type Place = { readonly stream: string; readonly after: number; readonly lastId: string | undefined };

/** Change streams in JetStream, on nats-server 2.9 or newer. */
export class NatsChangeStream implements ChangeStream {
  readonly #link: NatsLink;
  #api: Promise<Api> | undefined;

  constructor(link: NatsLink) {
    this.#link = link;
  }

  get isConnected(): boolean {
    return this.#link.isConnected;
  }

  onChange(listener: (connected: boolean) => void): Disposable {
    return this.#link.onChange(listener);
  }

  async head(tenant: string): Promise<StreamHead | undefined> {
    const { jsm } = await this.#connected();
    const name = streamName(tenant);
    const info = await jsm.streams.info(name).catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      throw asStreamError(`read where stream ${name} is`, error);
    });
    if (info === undefined) return undefined;
    const meta = await this.#meta(jsm, tenant);
    return {
      sequence: info.state.last_seq,
      createTime: String(info.created),
      subjectCount: subjectCountOf(info, meta !== undefined),
      meta,
    };
  }

  async create(tenant: string): Promise<void> {
    const { jsm } = await this.#connected();
    const name = streamName(tenant);
    await streamCall(
      `make stream ${name}`,
      jsm.streams.add({
        name,
        subjects: streamSubjects(tenant),
        retention: RetentionPolicy.Limits,
        storage: StorageType.File,
        discard: DiscardPolicy.Old,
        max_msgs_per_subject: 1,
        allow_direct: true,
      }),
    );
  }

  async append(tenant: string, { after, changes, meta }: StreamBatch): Promise<number> {
    const { js } = await this.#connected();
    const batch = nuid.next();
    const messages = changes.map((change) => changeMessage(tenant, change, batch));
    if (meta !== undefined) messages.push(metaMessage(tenant, meta, batch));
    const place = (index: number): Place => ({
      stream: streamName(tenant),
      after: after + index,
      lastId: messages[index - 1]?.id,
    });
    for (let first = 0; first < messages.length; first += streamCallLimits.inFlightMax) {
      const window = messages.slice(first, first + streamCallLimits.inFlightMax);
      await Promise.all(window.map((message, index) => appendOne(js, message, place(first + index))));
    }
    return after + messages.length;
  }

  async *entries(tenant: string): AsyncIterable<StreamEntry> {
    yield* readEntries(await this.#connected(), tenant);
  }

  async remove(tenant: string, subject: string, upTo: number): Promise<void> {
    const { jsm } = await this.#connected();
    const name = streamName(tenant);
    await streamCall(
      `remove ${subject} from stream ${name}`,
      jsm.streams.purge(name, { filter: subject, seq: upTo + 1 }),
    );
  }

  tell(tenant: string, update: StreamUpdate): void {
    if (!this.#link.isConnected) return;
    void this.#connected().then(
      ({ connection }) => {
        for (const payload of encodeStreamUpdate(update, streamCallLimits.updateBytesMax))
          connection.publish(liveSubject(tenant), payload);
      },
      // Nobody is told while there is no connection; the stream has it.
      () => {},
    );
  }

  async told(): Promise<void> {
    const { connection } = await this.#connected();
    await streamCall('tell changes', connection.flush());
  }

  answer(onQuestion: (question: StreamQuestion) => void): Disposable {
    const ended = new AbortController();
    void this.#link.opened.then(
      (connection) => {
        if (ended.signal.aborted) return;
        const subscription = connection.subscribe(anyAskSubject, {
          callback: (error, message) => {
            if (error !== null) return;
            onQuestion({
              tenant: tenantOfSubject(message.subject),
              answer: (position, stalenessMs) => void message.respond(encodeStreamAnswer(position, stalenessMs)),
            });
          },
        });
        ended.signal.addEventListener('abort', () => subscription.unsubscribe(), { once: true });
      },
      // Disposed before it was ever connected: there are no questions.
      () => {},
    );
    return { [Symbol.dispose]: () => ended.abort() };
  }

  async #meta(jsm: JetStreamManager, tenant: string): Promise<StreamMeta | undefined> {
    const name = streamName(tenant);
    try {
      // Not a direct get: in a cluster any replica of the stream answers those, also one that is behind.
      const { data } = await jsm.streams.getMessage(name, { last_by_subj: metaSubject(tenant) });
      return decodeStreamMeta(data);
    } catch (error) {
      if (isNoMessage(error)) return undefined;
      throw asStreamError(`read the meta of stream ${name}`, error);
    }
  }

  /** Rejects at once while there is no connection: what waits for one would be sent much later. */
  async #connected(): Promise<Api> {
    if (!this.#link.isConnected) throw new ChangeStreamError('unavailable', 'there is no connection to NATS');
    this.#api ??= this.#open();
    return await this.#api;
  }

  async #open(): Promise<Api> {
    const connection = await this.#link.opened;
    // No check of the account: that needs a permission which nothing else here needs.
    const options = { timeout: streamCallLimits.callMsMax, checkAPI: false };
    return { connection, js: connection.jetstream(options), jsm: await connection.jetstreamManager(options) };
  }
}

/** One message a subject, so as many messages as subjects; one of them may be the meta. */
function subjectCountOf({ state }: StreamInfo, hasMeta: boolean): number {
  return Math.max(0, state.messages - (hasMeta ? 1 : 0));
}

function changeMessage(tenant: string, change: Change, batch: string): Message {
  const { subject, revision, correlationId } = change;
  if (subject.kind === 'tenant') throw new Error(`change ${revision} of ${tenant} is of the tenant itself`);
  const payload = encodeStreamChange(change);
  return { subject: changeSubject(tenant, subject), payload, id: `${tenant}:${revision}:${batch}`, correlationId };
}

function metaMessage(tenant: string, meta: StreamMeta, batch: string): Message {
  const id = `${tenant}:${meta.position.revision}:${batch}:meta`;
  return { subject: metaSubject(tenant), payload: encodeStreamMeta(meta), id, correlationId: '' };
}

/**
 * The sequence number alone would not do for messages that are sent ahead of their acknowledgements: if another writer has added
 * one, the first of ours is refused, and the second finds the number that it expects. So each also names the message before it.
 * Ids are new for every batch, or what has to be stored again would be taken for a repetition.
 */
async function appendOne(
  js: JetStreamClient,
  { subject, payload, id, correlationId }: Message,
  { stream, after, lastId }: Place,
): Promise<void> {
  const extra = headers();
  if (correlationId !== '') extra.set('x-correlation-id', correlationId);
  const { seq, duplicate } = await streamCall(
    `append to stream ${stream}`,
    js.publish(subject, payload, {
      msgID: id,
      expect: { streamName: stream, lastSequence: after, ...(lastId === undefined ? {} : { lastMsgID: lastId }) },
      headers: extra,
      timeout: streamCallLimits.callMsMax,
    }),
  );
  if (seq !== after + 1 || duplicate)
    throw new ChangeStreamError('moved', `stream ${stream} stored at ${seq} what belongs at ${after + 1}`);
}
