import { connect, type JetStreamClient, type JetStreamManager, type Msg, type NatsConnection } from 'nats';
import type { Change, Position } from '../../src/domain/change.ts';
import { standingChange } from '../../src/domain/standing-change.ts';
import {
  anyAskSubject,
  changeSubject,
  liveSubject,
  metaSubject,
  streamName,
  streamSubjects,
  tenantOfSubject,
} from '../../src/wire/stream-subjects.ts';
import {
  encodeStreamAnswer,
  encodeStreamChange,
  encodeStreamMeta,
  encodeStreamUpdate,
} from '../../src/wire/stream-wire.ts';
import type { SidecarHistory } from '../fakes/sidecar-history.ts';

/** What is answered to whoever asks where a tenant is. */
export type PublisherAnswer =
  | { readonly kind: 'position'; readonly history: SidecarHistory; readonly stalenessMs: number }
  | { readonly kind: 'tenant_not_found' }
  /** It does not lead. */
  | { readonly kind: 'silent' };

/** The publisher's side of the change stream, done step by step: a test says when what is published, told and answered. */
export class StreamPublisher implements AsyncDisposable {
  readonly connection: NatsConnection;
  readonly #jetstream: JetStreamClient;
  readonly #manager: JetStreamManager;
  readonly #answers = new Map<string, PublisherAnswer>();
  readonly #askListeners = new Set<(tenant: string) => void>();
  #isListening = false;
  epoch = 'epoch-1';
  term = 1;

  private constructor(connection: NatsConnection, manager: JetStreamManager) {
    this.connection = connection;
    this.#jetstream = connection.jetstream();
    this.#manager = manager;
  }

  static async connect(url: string): Promise<StreamPublisher> {
    const connection = await connect({ servers: url.replace('nats://', ''), reconnect: false });
    const publisher = new StreamPublisher(connection, await connection.jetstreamManager());
    await connection.flush();
    return publisher;
  }

  async create(tenant: string): Promise<void> {
    await this.#manager.streams.add({
      name: streamName(tenant),
      subjects: streamSubjects(tenant),
      max_msgs_per_subject: 1,
      allow_direct: true,
    });
  }

  async remove(tenant: string): Promise<void> {
    await this.#manager.streams.delete(streamName(tenant));
  }

  /** Makes the tenant's stream, with everything the tenant has, and closes it. */
  async publishAll(history: SidecarHistory): Promise<void> {
    await this.create(history.tenant);
    await this.put(standingChanges(history));
    await this.close(history);
  }

  /** The newest of these changes of each resource, in the stream. */
  async put(changes: readonly Change[]): Promise<void> {
    const inFlightMax = 256;
    for (let first = 0; first < changes.length; first += inFlightMax) {
      await Promise.all(
        changes.slice(first, first + inFlightMax).map(async (change) => {
          if (change.subject.kind === 'tenant') return;
          await this.#jetstream.publish(changeSubject(change.tenant, change.subject), encodeStreamChange(change));
        }),
      );
    }
  }

  /** Says in the stream that everything up to here is in it. */
  async close(history: SidecarHistory, fields: { purgedRevision?: number; subjectCount?: number } = {}): Promise<void> {
    const { tenant } = history.state;
    if (tenant === undefined) throw new Error('a history begins with its tenant');
    const meta = encodeStreamMeta({
      ...this.#beacon(history),
      resourceCount: history.state.digest.count,
      subjectCount: standingChanges(history).length,
      purgedRevision: 0,
      tenant,
      publishTimeMs: 0,
      ...fields,
    });
    await this.#jetstream.publish(metaSubject(history.tenant), meta);
  }

  /** Tells live that the tenant has come to here, with these changes; without: a beacon. */
  tell(history: SidecarHistory, changes: readonly Change[] = [], changeBytesMax = 512 * 1024): void {
    for (const part of this.encode(history, changes, changeBytesMax)) this.tellPart(history.tenant, part);
  }

  encode(history: SidecarHistory, changes: readonly Change[] = [], changeBytesMax = 512 * 1024): Uint8Array[] {
    const after = (changes[0]?.revision ?? history.position.revision + 1) - 1;
    return encodeStreamUpdate({ ...this.#beacon(history), after, changes }, changeBytesMax);
  }

  tellPart(tenant: string, part: Uint8Array): void {
    this.connection.publish(liveSubject(tenant), part);
  }

  /** What it says from now on when it is asked about a tenant; before that nothing. */
  answer(tenant: string, answer: PublisherAnswer): void {
    this.#listen();
    this.#answers.set(tenant, answer);
  }

  /** Resolves when it was asked so many times more about a tenant. */
  async asked(tenant: string, times: number): Promise<void> {
    this.#listen();
    const { promise, resolve } = Promise.withResolvers<void>();
    let left = times;
    const listener = (asked: string): void => {
      if (asked === tenant && --left <= 0) resolve();
    };
    this.#askListeners.add(listener);
    await promise;
    this.#askListeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection.close();
  }

  #beacon(history: SidecarHistory): { epoch: string; position: Position; digest: string; term: number } {
    const { position, state } = history;
    return { epoch: this.epoch, position, digest: state.digest.toString(), term: this.term };
  }

  /** From the first time that it matters: before that whoever asks hears at once that nobody is there. */
  #listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    this.connection.subscribe(anyAskSubject, { callback: (_error, message) => this.#answer(message) });
  }

  #answer(message: Msg): void {
    const tenant = tenantOfSubject(message.subject);
    for (const listener of this.#askListeners) listener(tenant);
    const answer = this.#answers.get(tenant) ?? { kind: 'silent' };
    if (answer.kind === 'tenant_not_found') message.respond(encodeStreamAnswer(undefined, 0));
    if (answer.kind !== 'position') return;
    const { history, stalenessMs } = answer;
    message.respond(
      encodeStreamAnswer({ ...this.#beacon(history), after: history.position.revision, changes: [] }, stalenessMs),
    );
  }
}

/** A change of each resource that there is or was, as it is now. */
export function standingChanges({ state }: SidecarHistory): Change[] {
  return [...state.all()]
    .flatMap(({ routes, policy }) => [...routes.values(), ...(policy === undefined ? [] : [policy])])
    .map(standingChange)
    .toSorted((left, right) => left.revision - right.revision);
}
