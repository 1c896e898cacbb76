import { resourceOf, type Change } from '../../src/domain/change.ts';
import type { StreamMeta, StreamUpdate } from '../../src/domain/stream-position.ts';
import {
  ChangeStreamError,
  type ChangeStream,
  type ChangeStreamFailure,
  type StreamBatch,
  type StreamEntry,
  type StreamHead,
  type StreamQuestion,
} from '../../src/ports/change-stream.ts';

type Stored = { readonly sequence: number; readonly change: Change | undefined };

type Kept = {
  sequence: number;
  readonly createTime: string;
  readonly entries: Map<string, Stored>;
  meta: StreamMeta | undefined;
};

/** A copy of a stream, to be put back later. */
export type StreamCopy = { readonly tenant: string; readonly kept: Kept };

/** A stream server in memory, to be broken. */
export class InMemoryStreamServer {
  readonly #streams = new Map<string, Kept>();
  readonly #connections: InMemoryChangeStream[] = [];
  #made = 0;
  /** Every batch that was stored, in order, with who leads by its meta. */
  readonly batches: { readonly tenant: string; readonly batch: StreamBatch }[] = [];

  connect(): InMemoryChangeStream {
    const stream = new InMemoryChangeStream(this);
    this.#connections.push(stream);
    return stream;
  }

  find(tenant: string): Kept | undefined {
    return this.#streams.get(tenant);
  }

  create(tenant: string): void {
    if (this.#streams.has(tenant)) return;
    const createTime = `made ${this.#made++}`;
    this.#streams.set(tenant, { sequence: 0, createTime, entries: new Map(), meta: undefined });
  }

  destroy(tenant: string): void {
    this.#streams.delete(tenant);
  }

  copy(tenant: string): StreamCopy {
    const kept = this.#streams.get(tenant);
    if (kept === undefined) throw new Error(`there is no stream of ${tenant}`);
    return { tenant, kept: { ...kept, entries: new Map(kept.entries) } };
  }

  restore({ tenant, kept }: StreamCopy): void {
    this.#streams.set(tenant, { ...kept, entries: new Map(kept.entries) });
  }

  ask(tenant: string): { readonly position: StreamUpdate | undefined; readonly stalenessMs: number }[] {
    const answers: { position: StreamUpdate | undefined; stalenessMs: number }[] = [];
    const answer = (position: StreamUpdate | undefined, stalenessMs: number): void =>
      void answers.push({ position, stalenessMs });
    for (const connection of this.#connections) connection.hear({ tenant, answer });
    return answers;
  }
}

/** A connection to it. */
export class InMemoryChangeStream implements ChangeStream {
  readonly #server: InMemoryStreamServer;
  readonly #listeners = new Set<(connected: boolean) => void>();
  readonly #questionListeners = new Set<(question: StreamQuestion) => void>();
  #connected = true;
  /** Everything that was told, in order. */
  readonly updates: { readonly tenant: string; readonly update: StreamUpdate }[] = [];
  /** Awaited before each append: a test holds a writer back here. */
  beforeAppend: (batch: StreamBatch) => Promise<void> = () => Promise.resolve();
  /** How many messages of the next batch are stored before its outcome is lost; undefined: all, and the outcome arrives. */
  loseOutcomeAfter: number | undefined;

  constructor(server: InMemoryStreamServer) {
    this.#server = server;
  }

  get isConnected(): boolean {
    return this.#connected;
  }

  setConnected(connected: boolean): void {
    this.#connected = connected;
    for (const listener of this.#listeners) listener(connected);
  }

  onChange(listener: (connected: boolean) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async head(tenant: string): Promise<StreamHead | undefined> {
    await this.#trip();
    const kept = this.#server.find(tenant);
    if (kept === undefined) return undefined;
    const { sequence, createTime, entries, meta } = kept;
    return { sequence, createTime, subjectCount: entries.size, meta };
  }

  async create(tenant: string): Promise<void> {
    await this.#trip();
    this.#server.create(tenant);
  }

  async append(tenant: string, batch: StreamBatch): Promise<number> {
    await this.#trip();
    await this.beforeAppend(batch);
    const kept = this.#server.find(tenant);
    const { after, changes, meta } = batch;
    if (kept === undefined) throw failure('moved', 'there is no stream');
    if (changes.length === 0 && meta === undefined) return after;
    if (kept.sequence !== after) throw failure('moved', `the stream is at ${kept.sequence}`);
    const lost = this.loseOutcomeAfter;
    this.loseOutcomeAfter = undefined;
    for (const change of changes.slice(0, lost)) {
      kept.sequence++;
      kept.entries.set(subjectOf(change), { sequence: kept.sequence, change: withoutBefore(change) });
    }
    if (lost !== undefined && lost <= changes.length) throw failure('unavailable', 'the outcome was lost');
    if (meta !== undefined) {
      kept.sequence++;
      kept.meta = meta;
    }
    this.#server.batches.push({ tenant, batch });
    if (lost !== undefined) throw failure('unavailable', 'the outcome was lost');
    return kept.sequence;
  }

  async *entries(tenant: string): AsyncIterable<StreamEntry> {
    await this.#trip();
    const entries = [...(this.#server.find(tenant)?.entries ?? [])];
    entries.sort(([, left], [, right]) => left.sequence - right.sequence);
    for (const [subject, stored] of entries) yield { subject, ...stored };
  }

  async remove(tenant: string, subject: string, upTo: number): Promise<void> {
    await this.#trip();
    const kept = this.#server.find(tenant);
    const stored = kept?.entries.get(subject);
    if (stored !== undefined && stored.sequence <= upTo) kept?.entries.delete(subject);
  }

  tell(tenant: string, update: StreamUpdate): void {
    if (this.#connected) this.updates.push({ tenant, update });
  }

  async told(): Promise<void> {
    await this.#trip();
  }

  answer(onQuestion: (question: StreamQuestion) => void): Disposable {
    this.#questionListeners.add(onQuestion);
    return { [Symbol.dispose]: () => void this.#questionListeners.delete(onQuestion) };
  }

  hear(question: StreamQuestion): void {
    for (const listener of this.#questionListeners) listener(question);
  }

  async #trip(): Promise<void> {
    await Promise.resolve();
    if (!this.#connected) throw failure('unavailable', 'there is no connection');
  }
}

function subjectOf({ subject }: Change): string {
  return `${subject.kind} ${resourceOf(subject)}`;
}

function withoutBefore(change: Change): Change {
  return { ...change, subject: { ...change.subject, before: undefined } };
}

function failure(kind: ChangeStreamFailure, message: string): ChangeStreamError {
  return new ChangeStreamError(kind, message);
}
