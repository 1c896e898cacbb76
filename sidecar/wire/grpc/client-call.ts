import type { Alarm, AlarmClock } from '../alarm.ts';
import type { ErrorName } from '../error-code.ts';
import { writeUint32 } from '../frame.ts';
import type { HeaderList } from '../header-list.ts';
import type { Stream, StreamConsumer } from '../stream.ts';
import { MessageReader, type MessageReceiver, prefixBytes } from './message-reader.ts';
import { percentDecode } from './percent.ts';
import { type CallStatus, okStatus, statusCodes } from './status-code.ts';
import { statusOfHttp, statusOfReset } from './status-mapping.ts';

/** How a call ended, and what came with it. */
export type CallResult = {
  readonly status: CallStatus;
  readonly trailers: HeaderList | undefined;
  /** The server has not looked at it: it may be made again, whatever it does. */
  readonly isUnprocessed: boolean;
};

/** Hears of what comes back on a call. After `ended` nothing does. */
export interface ResponseListener {
  /** A message; `isShared`: it stands in a buffer that is used again, so what is kept must be copied. */
  message(bytes: Buffer, isShared: boolean): void;
  ended(result: CallResult): void;
  /** What waited has gone out, after `send` said that it should be waited for. */
  drained(): void;
}

export type ClientCallOptions = {
  readonly clock: AlarmClock;
  readonly messageBytesMax: number;
  readonly backlogBytes: number;
  /** Why connections were lost, for the calls that went with them. */
  readonly whyLost: () => string | undefined;
};

/** A call that has no stream yet, and what it will say; without a message: that this was all. */
type Waiting = {
  readonly unsent: { readonly message: Uint8Array | undefined; readonly isLast: boolean }[];
  readonly leave: () => void;
};

const prefix = Buffer.alloc(prefixBytes);

/** One call of a client: gRPC over one stream. */
export class ClientCall implements StreamConsumer, MessageReceiver, Alarm {
  dueMs = 0;
  readonly #options: ClientCallOptions;
  readonly #listener: ResponseListener;
  #stream: Stream | undefined;
  #reader: MessageReader | undefined;
  #hasHeaders = false;
  #isOver = false;
  #isArmed = false;
  #isPaused = false;
  #waiting: Waiting | undefined;

  constructor(listener: ResponseListener, options: ClientCallOptions) {
    this.#listener = listener;
    this.#options = options;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Gives the call so much time. */
  arm(timeoutMs: number): void {
    const { clock } = this.#options;
    this.#isArmed = true;
    clock.arm(this, clock.monotonicMs() + timeoutMs);
  }

  /** Waits for its stream: what is sent meanwhile waits with it. `leave` is called if it ends before. */
  wait(leave: () => void): void {
    this.#waiting = { unsent: [], leave };
  }

  /** Begins, on a stream whose headers have been sent. */
  begin(stream: Stream): void {
    if (this.#isOver) return;
    this.#stream = stream;
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    for (const { message, isLast } of waiting.unsent) {
      if (message === undefined) this.finish();
      else this.send(message, isLast);
    }
    if (waiting.unsent.length > 0 && !this.#isOver && stream.queuedBytes === 0) this.#listener.drained();
  }

  /** Sends a message, which must not be changed afterwards; false: wait for `drained` before the next. */
  send(message: Uint8Array, isLast = false): boolean {
    const stream = this.#stream;
    if (this.#isOver) return false;
    if (stream === undefined) {
      this.#waiting?.unsent.push({ message, isLast });
      return false;
    }
    writeUint32(prefix, 1, message.length);
    stream.sendData(message, isLast, prefix);
    return stream.queuedBytes < this.#options.backlogBytes;
  }

  /** All has been said. */
  finish(): void {
    this.#waiting?.unsent.push({ message: undefined, isLast: true });
    this.#stream?.sendData(new Uint8Array(0), true);
  }

  cancel(): void {
    this.fail({ code: statusCodes.CANCELLED, message: 'the call was cancelled' });
  }

  /** Never came to a stream. */
  refuse(message: string): void {
    this.#end({ status: { code: statusCodes.UNAVAILABLE, message }, trailers: undefined, isUnprocessed: false });
  }

  headers(list: HeaderList, isLast: boolean): void {
    if (this.#isOver) return;
    // Informational responses come before the one that counts (RFC 9113 §8.1).
    if (list.status?.startsWith('1') === true) return;
    if (!this.#hasHeaders) {
      this.#hasHeaders = true;
      // A status of gRPC counts more than that of HTTP: proxies say it with a 204 or 503 (doc/http-grpc-status-mapping.md).
      const isStatus = isLast && list.get('grpc-status') !== undefined;
      const isGrpc = list.status === '200' && list.get('content-type')?.startsWith('application/grpc') === true;
      if (!isStatus && !isGrpc) return this.fail(statusOfHttp(list.status ?? ''));
    }
    if (isLast) this.#takeTrailers(list);
  }

  data(buffer: Buffer, start: number, end: number, isLast: boolean): void {
    const stream = this.#stream;
    if (this.#isOver || stream === undefined) return;
    this.#reader ??= new MessageReader(this);
    this.#reader.read(buffer, start, end);
    if (!this.#isPaused) stream.used(end - start);
    if (isLast) this.fail({ code: statusCodes.INTERNAL, message: 'the answer ends without a status' });
  }

  #takeTrailers(list: HeaderList): void {
    const text = list.get('grpc-status') ?? '';
    if (!/^\d{1,3}$/.test(text))
      return this.fail({ code: statusCodes.UNKNOWN, message: 'the answer ends without a status' });
    const code = Number(text);
    if (code === statusCodes.OK && this.#reader?.isInside === true)
      return this.fail({ code: statusCodes.INTERNAL, message: 'the answer ends inside of a message' });
    const message = percentDecode(list.get('grpc-message') ?? '');
    this.#end({ status: code === statusCodes.OK ? okStatus : { code, message }, trailers: list, isUnprocessed: false });
    // Whatever was still to be said is of no interest now; a stream that nobody ends would be kept for ever.
    this.#stream?.reset('CANCEL');
  }

  announce(bytes: number, isCompressed: boolean): boolean {
    const { messageBytesMax } = this.#options;
    let problem: CallStatus | undefined;
    if (isCompressed) problem = { code: statusCodes.INTERNAL, message: 'a compressed message, which nobody asked for' };
    else if (bytes > messageBytesMax)
      problem = {
        code: statusCodes.RESOURCE_EXHAUSTED,
        message: `a message of ${bytes} bytes, ${messageBytesMax} at most`,
      };
    else if (this.#stream?.hold(bytes) !== true)
      problem = {
        code: statusCodes.RESOURCE_EXHAUSTED,
        message: 'the messages of this connection take too much memory',
      };
    if (problem !== undefined) this.fail(problem);
    return problem === undefined;
  }

  message(bytes: Buffer, isShared: boolean): void {
    this.#stream?.letGo();
    this.#listener.message(bytes, isShared);
  }

  reset(error: ErrorName): void {
    const { code, message } = statusOfReset(error);
    const why = error === 'CONNECT_ERROR' ? this.#options.whyLost() : undefined;
    const status = { code, message: why === undefined ? message : `${message}: ${why}` };
    this.#end({ status, trailers: undefined, isUnprocessed: error === 'REFUSED_STREAM' && !this.#hasHeaders });
  }

  /** Takes no more messages until `resume` but those that came with the last: the server fills its window, and waits. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    const stream = this.#stream;
    if (stream !== undefined && stream.heldBytes > 0) stream.used(stream.heldBytes);
  }

  drained(): void {
    this.#listener.drained();
  }

  /** The deadline has passed. */
  ring(): void {
    this.fail({ code: statusCodes.DEADLINE_EXCEEDED, message: 'the deadline has passed' });
  }

  /** Ends it from this side: the server is told to stop. */
  fail(status: CallStatus): void {
    const stream = this.#stream;
    this.#end({ status, trailers: undefined, isUnprocessed: false });
    stream?.reset('CANCEL');
  }

  #end(result: CallResult): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#isArmed) this.#options.clock.disarm(this);
    this.#waiting?.leave();
    this.#waiting = undefined;
    this.#listener.ended(result);
  }
}
