import type { Change } from '../domain/change.ts';
import type { StreamMeta, StreamUpdate } from '../domain/stream-position.ts';

/** What a tenant's stream has, at one moment. */
export type StreamHead = {
  /** The sequence number of its last message, whatever became of that; 0: it never had one. */
  readonly sequence: number;
  /** When the stream was made, as the server tells it: another text, another stream. */
  readonly createTime: string;
  /** How many subjects have a change. */
  readonly subjectCount: number;
  /** Undefined: it was never closed by one, or that was removed. */
  readonly meta: StreamMeta | undefined;
};

/** The newest message of one subject. */
export type StreamEntry = {
  readonly subject: string;
  readonly sequence: number;
  /** Undefined: something that is no change, or not one of that subject. */
  readonly change: Change | undefined;
};

/** Messages to append, in this order: changes of routes and policies, the newest of each, then where the stream has come to. */
export type StreamBatch = {
  /** The sequence number that the stream must be at. */
  readonly after: number;
  readonly changes: readonly Change[];
  readonly meta: StreamMeta | undefined;
};

/** A question where a tenant is. Answered once at most; not answering is right for whoever does not lead. */
export type StreamQuestion = {
  readonly tenant: string;
  /** Undefined: there is no such tenant. */
  readonly answer: (position: StreamUpdate | undefined, stalenessMs: number) => void;
};

/**
 * The change streams of all tenants, at the side that writes them.
 *
 * - A batch is appended in order, and each of its messages only if the stream ends with the one before it: of two writers at one
 *   place in a stream, one is refused, and whoever wakes up late finds its place taken. A batch may be stored in part when
 *   `append` rejects, but never with a gap.
 * - A stream keeps the newest message of each subject. Its sequence numbers only rise, until it is removed or restored from a copy.
 * - Every call is answered, or rejected with a ChangeStreamError within seconds: then its outcome is unknown.
 * - Every method may be called concurrently, also for one tenant.
 */
export interface ChangeStream {
  /** Whether the server can be reached, as far as is known. */
  readonly isConnected: boolean;
  /** Calls after each connect: everything may be different from what it was. And after each disconnect. */
  onChange(listener: (connected: boolean) => void): Disposable;
  /** Where a tenant's stream is; undefined: it has none. */
  head(tenant: string): Promise<StreamHead | undefined>;
  /** Makes a tenant's stream; fulfilled too when it is there. */
  create(tenant: string): Promise<void>;
  /** Appends a batch; answers the sequence number of its last message, or `after` when it is empty. */
  append(tenant: string, batch: StreamBatch): Promise<number>;
  /** Every entry of the stream as it is, in the order of their sequence numbers, metas left out. */
  entries(tenant: string): AsyncIterable<StreamEntry>;
  /** Removes what a subject has up to a sequence number; what came after it stays. */
  remove(tenant: string, subject: string, upTo: number): Promise<void>;
  /** Tells those who listen now; nobody keeps it. Whether it arrives is not known. */
  tell(tenant: string, update: StreamUpdate): void;
  /** Fulfilled when the server has taken everything that was told before. */
  told(): Promise<void>;
  /** Calls with each question until disposed. */
  answer(onQuestion: (question: StreamQuestion) => void): Disposable;
}

/** Why a call on a stream failed. */
export type ChangeStreamFailure =
  /** The stream is not where the caller took it to be, or not there at all: look again. */
  | 'moved'
  /** Not permitted: an operator's mistake. */
  | 'refused'
  /** Out of reach, too slow, or unable: try again later. */
  | 'unavailable';

/** A call on a stream failed, or its outcome is unknown. */
export class ChangeStreamError extends Error {
  readonly failure: ChangeStreamFailure;

  constructor(failure: ChangeStreamFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.failure = failure;
  }
}
