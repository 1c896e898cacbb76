import type { AlarmClock } from '../alarm.ts';
import { HeaderField } from '../hpack/header-field.ts';
import { streamsMaxAssumed, type WireLimits } from '../limits.ts';
import type { AwaitsRoom } from '../room-queue.ts';
import type { Schedule } from '../turn.ts';
import { type ClientSocket, WireClient, type WireClientOptions } from '../wire-client.ts';
import { ClientCall, type CallResult, type ClientCallOptions, type ResponseListener } from './client-call.ts';
import { grpcRequestFields, repeatedByClient, requestFields } from './fields.ts';
import { RetriedCall } from './retried-call.ts';
import { type CallStatus, statusCodes } from './status-code.ts';
import { timeoutFrom } from './timeout.ts';

export type GrpcClientOptions = {
  /** What the server is called: `host:port`. */
  readonly authority: string;
  readonly isSecure: boolean;
  /** Of the program that calls; not given: none. */
  readonly userAgent?: string | undefined;
  readonly clock: AlarmClock;
  readonly schedule: Schedule;
  readonly scheduleSoon?: WireClientOptions['scheduleSoon'];
  readonly limits: WireLimits;
  readonly messageBytesMax: number;
  /** Makes a socket to the server, connected or about to be. */
  readonly connect: () => ClientSocket;
  readonly reconnect?: WireClientOptions['reconnect'];
};

export type CallSettings = {
  /** For ever, if it is not given. */
  readonly timeoutMs?: number | undefined;
  /** Metadata, in small letters; values of names that end in `-bin` are base64. */
  readonly fields?: readonly HeaderField[];
  readonly signal?: AbortSignal | undefined;
};

/** A call that did not end well. */
export class CallError extends Error {
  readonly code: number;
  readonly status: CallStatus;
  readonly result: CallResult;

  constructor(result: CallResult) {
    super(`${result.status.code}: ${result.status.message}`);
    this.code = result.status.code;
    this.status = result.status;
    this.result = result;
  }
}

/** Time-outs that are kept, and are an index of the table: callers have a few. Each is 46 B of the table. */
const timeoutsMax = 16;
/** Methods whose paths are kept, and are an index of the table: 1,000 take 100 KB. */
const pathsMax = 1_000;

/** A light client of one server: calls of any method, as bytes. */
export class GrpcClient implements Disposable {
  readonly #client: WireClient;
  readonly #callOptions: ClientCallOptions;
  readonly #first: readonly HeaderField[];
  readonly #last: readonly HeaderField[];
  readonly #paths = new Map<string, HeaderField>();
  readonly #timeouts = new Map<number, HeaderField>();
  readonly #repeated: Set<HeaderField>;
  readonly #monotonicMs = (): number => this.#callOptions.clock.monotonicMs();

  constructor(options: GrpcClientOptions) {
    const authority = new HeaderField(':authority', options.authority);
    this.#first = [...requestFields(options.isSecure), authority];
    const { userAgent } = options;
    this.#last =
      userAgent === undefined ? grpcRequestFields : [...grpcRequestFields, new HeaderField('user-agent', userAgent)];
    this.#repeated = new Set([...repeatedByClient, authority, ...this.#last]);
    const { clock, limits, messageBytesMax } = options;
    this.#callOptions = {
      clock,
      messageBytesMax,
      backlogBytes: limits.streamBacklogBytes,
      whyLost: () => this.#client.lastError?.message,
    };
    this.#client = new WireClient({ ...options, streamsMaxAssumed, repeated: this.#repeated });
  }

  /** Begins a call; its listener hears of everything, also when it cannot begin. */
  start(path: string, listener: ResponseListener, { timeoutMs, fields = noFields }: CallSettings = {}): ClientCall {
    const call = new ClientCall(listener, this.#callOptions);
    if (timeoutMs !== undefined) {
      // Nobody waits for it any more: the server need not hear of it.
      if (timeoutMs <= 0) call.ring();
      else call.arm(timeoutMs);
      if (call.isOver) return call;
    }
    const connection = this.#client.connection();
    if (connection === undefined) this.#wait(call, path, { timeoutMs, fields });
    else {
      const timeout = timeoutMs === undefined ? undefined : this.#timeoutField(timeoutMs);
      call.begin(connection.open(this.#requestFields(path, timeout, fields), false, call));
    }
    return call;
  }

  #wait(call: ClientCall, path: string, { timeoutMs, fields = noFields }: CallSettings): void {
    const waiting: AwaitsRoom = {
      take: (connection) => {
        const leftMs = call.dueMs - this.#callOptions.clock.monotonicMs();
        const timeout = timeoutMs === undefined ? undefined : new HeaderField('grpc-timeout', timeoutFrom(leftMs));
        call.begin(connection.open(this.#requestFields(path, timeout, fields), false, call));
      },
      refuse: (why) => call.refuse(why),
    };
    if (this.#client.whenRoom(waiting)) call.wait(() => this.#client.stopWaiting(waiting));
    else call.refuse(this.#client.whyNone);
  }

  #requestFields(path: string, timeout: HeaderField | undefined, fields: readonly HeaderField[]): HeaderField[] {
    const all = [...this.#first, this.#pathField(path), ...this.#last];
    if (timeout !== undefined) all.push(timeout);
    for (const field of fields) all.push(field);
    return all;
  }

  /** One message there, one back; rejects with a {@link CallError}. */
  unary(path: string, message: Uint8Array, settings: CallSettings = {}): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const { signal, timeoutMs } = settings;
      const call = new RetriedCall({
        start: (listener, leftMs) =>
          this.start(path, listener, leftMs === timeoutMs ? settings : { ...settings, timeoutMs: leftMs }),
        monotonicMs: this.#monotonicMs,
        timeoutMs,
        message,
        ended: (result, answer) => {
          if (cancel !== undefined) signal?.removeEventListener('abort', cancel);
          if (result.status.code !== statusCodes.OK) reject(new CallError(result));
          else if (answer === undefined) reject(new CallError({ ...result, status: noAnswer }));
          else resolve(answer);
        },
      });
      const cancel = signal === undefined ? undefined : (): void => call.cancel();
      if (cancel !== undefined) signal?.addEventListener('abort', cancel, { once: true });
      call.begin();
      if (signal?.aborted === true) call.cancel();
    });
  }

  #pathField(path: string): HeaderField {
    let field = this.#paths.get(path);
    if (field === undefined) {
      field = new HeaderField(':path', path);
      if (this.#paths.size < pathsMax) {
        this.#paths.set(path, field);
        this.#repeated.add(field);
      }
    }
    return field;
  }

  #timeoutField(timeoutMs: number): HeaderField {
    let field = this.#timeouts.get(timeoutMs);
    if (field === undefined) {
      field = new HeaderField('grpc-timeout', timeoutFrom(timeoutMs));
      if (this.#timeouts.size < timeoutsMax) {
        this.#timeouts.set(timeoutMs, field);
        this.#repeated.add(field);
      }
    }
    return field;
  }

  /** Takes no more calls; those under way go on to their end. */
  close(): void {
    this.#client.close();
  }

  /** Ends everything now. */
  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }
}

const noFields: readonly HeaderField[] = [];
const noAnswer: CallStatus = { code: statusCodes.UNIMPLEMENTED, message: 'the server answered without a message' };
