import type { Alarm, AlarmClock } from '../alarm.ts';
import type { ErrorName } from '../error-code.ts';
import { writeUint32 } from '../frame.ts';
import type { HeaderList } from '../header-list.ts';
import { HeaderField } from '../hpack/header-field.ts';
import type { Stream, StreamConsumer } from '../stream.ts';
import { okFieldsWith, refusedEncodingFields, responseFields } from './fields.ts';
import { MessageReader, prefixBytes, type MessageReceiver } from './message-reader.ts';
import { percentEncode } from './percent.ts';
import { type CallStatus, statusCodes } from './status-code.ts';

/** Why a call is over before its handler has ended it. */
export type CallEnd = 'cancelled' | 'deadline';

/** Hears of what happens to a call while its handler works. */
export interface CallListener {
  /** Nobody waits for the answer any more; whatever is sent goes nowhere. */
  over(why: CallEnd): void;
  /** What waited has gone out, after `send` said that it should be waited for. */
  drained(): void;
}

/** Takes the messages of a call that may have many. */
export interface RequestListener extends CallListener {
  /** A message; `isShared`: it stands in a buffer that is used again, so what is kept must be copied. */
  message(bytes: Buffer, isShared: boolean): void;
  /** The caller has sent all it has. */
  ended(): void;
}

/** How a method takes its calls. It must not throw. */
export type Method =
  /** Exactly one message, in a buffer that is used again: what is kept beyond the call of `handle` must be copied. */
  | { readonly requests: 'one'; readonly handle: (request: Buffer, call: ServerCall) => void }
  | { readonly requests: 'many'; readonly open: (call: ServerCall) => RequestListener };

export type ServerCallOptions = {
  readonly clock: AlarmClock;
  readonly messageBytesMax: number;
  /** What may wait in a stream before its sender is told to wait. */
  readonly backlogBytes: number;
};

/** `none`: the response has not begun. */
type ResponseState = 'none' | 'begun' | 'ended';

const memoryIsSpent = 'the messages of this connection take too much memory';
const noFields: readonly HeaderField[] = [];
/** Written anew for each message: it is copied, or joined with its message, before it is needed again. */
const prefix = Buffer.alloc(prefixBytes);

/** One call of a server: gRPC over one stream. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
export class ServerCall implements StreamConsumer, MessageReceiver, Alarm {
  readonly list: HeaderList;
  dueMs = 0;
  listener: CallListener | undefined;
  readonly #stream: Stream;
  readonly #options: ServerCallOptions;
  readonly #method: Method;
  #requests: RequestListener | undefined;
  #reader: MessageReader | undefined;
  #request: Buffer | undefined;
  #response: ResponseState = 'none';
  #isPaused = false;
  #timeoutMs: number | undefined;
  /** When its deadline began to count; undefined: its alarm is not set. */
  #armedAtMs: number | undefined;

  constructor(stream: Stream, list: HeaderList, method: Method, options: ServerCallOptions) {
    this.#stream = stream;
    this.list = list;
    this.#method = method;
    this.#options = options;
  }

  /** Whether nothing that is sent goes anywhere. */
  get isOver(): boolean {
    return this.#response === 'ended';
  }

  /** What the call has left of what its caller gave it, ms; undefined: for ever. */
  get timeoutMs(): number | undefined {
    if (this.#timeoutMs === undefined || this.#armedAtMs === undefined) return this.#timeoutMs;
    return this.#armedAtMs + this.#timeoutMs - this.#options.clock.monotonicMs();
  }

  /** Begins the call; `isLast`: it has no messages at all. */
  open(timeoutMs: number | undefined, isLast: boolean): void {
    this.#timeoutMs = timeoutMs;
    if (this.#method.requests === 'many') {
      this.#arm();
      this.listener = this.#requests = this.#method.open(this);
    }
    if (isLast) this.#requestsEnded();
  }

  /** Its deadline counts from its headers; those that are answered by now have needed no alarm. */
  stays(): void {
    if (!this.isOver) this.#arm();
  }

  headers(_trailers: HeaderList, isLast: boolean): void {
    if (isLast) this.#requestsEnded();
  }

  data(buffer: Buffer, start: number, end: number, isLast: boolean): void {
    if (this.isOver) return this.#stream.used(end - start);
    if (this.#isOneWhole(buffer, start, end, isLast)) {
      this.#stream.used(end - start);
      this.#request = buffer.subarray(start + prefixBytes, end);
      return this.#requestsEnded();
    }
    this.#reader ??= new MessageReader(this);
    this.#reader.read(buffer, start, end);
    if (!this.#isPaused) this.#stream.used(end - start);
    if (isLast) this.#requestsEnded();
  }

  /** The usual unary call: one message, uncompressed, in one piece, and the end of the stream with it. */
  #isOneWhole(buffer: Buffer, start: number, end: number, isLast: boolean): boolean {
    if (!isLast || this.#method.requests !== 'one' || this.#reader !== undefined) return false;
    const bytes = end - start - prefixBytes;
    if (bytes < 0 || bytes > this.#options.messageBytesMax) return false;
    return buffer[start] === 0 && buffer.readUInt32BE(start + 1) === bytes;
  }

  announce(bytes: number, isCompressed: boolean, isHere: boolean): boolean {
    // A message before it, in the same piece, may have been the last that was wanted.
    if (this.isOver) return false;
    // What is here goes to the handler at once.
    const isHeld = !isHere || this.#method.requests === 'one';
    const problem = this.#problemOf(bytes, isCompressed) ?? (isHeld ? this.#problemOfRoom(bytes) : undefined);
    if (problem === undefined) return true;
    if (isCompressed && problem.code === statusCodes.UNIMPLEMENTED && this.#response === 'none') {
      this.#stream.sendHeaders(refusedEncodingFields, false);
      this.#response = 'begun';
    }
    this.#endWith(problem, 'cancelled');
    return false;
  }

  #problemOf(bytes: number, isCompressed: boolean): CallStatus | undefined {
    const { messageBytesMax } = this.#options;
    if (bytes > messageBytesMax) {
      const message = `a message of ${bytes} bytes, ${messageBytesMax} at most`;
      return { code: statusCodes.RESOURCE_EXHAUSTED, message };
    }
    if (isCompressed) {
      const encoding = this.list.get('grpc-encoding') ?? 'identity';
      if (encoding === 'identity')
        return { code: statusCodes.INTERNAL, message: 'a compressed message without a grpc-encoding' };
      return { code: statusCodes.UNIMPLEMENTED, message: `the compression ${encoding} is not supported` };
    }
    if (this.#method.requests === 'one' && this.#request !== undefined)
      return { code: statusCodes.UNIMPLEMENTED, message: 'this method takes one message' };
    return undefined;
  }

  #problemOfRoom(bytes: number): CallStatus | undefined {
    this.#stream.letGo();
    if (!this.#stream.hold(bytes)) return { code: statusCodes.RESOURCE_EXHAUSTED, message: memoryIsSpent };
    return undefined;
  }

  message(bytes: Buffer, isShared: boolean): void {
    if (this.#method.requests === 'one') {
      this.#request = isShared ? Buffer.from(bytes) : bytes;
      return;
    }
    // From here on it is the handler's.
    this.#stream.letGo();
    this.#requests?.message(bytes, isShared);
  }

  #requestsEnded(): void {
    if (this.isOver) return;
    if (this.#reader?.isInside === true)
      return this.#endWith(
        { code: statusCodes.INTERNAL, message: 'the request ends inside of a message' },
        'cancelled',
      );
    if (this.#method.requests === 'many') return this.#requests?.ended();
    const request = this.#request;
    if (request === undefined)
      return this.#endWith({ code: statusCodes.UNIMPLEMENTED, message: 'this method takes one message' }, 'cancelled');
    this.#request = undefined;
    if (this.#reader !== undefined) this.#stream.letGo();
    this.#method.handle(request, this);
    // Armed only for what was not answered at once; the time counts from the headers, of a request that came after them too.
    if (!this.isOver) this.#arm();
  }

  /**
   * A handler begins to work, with a request of so many bytes: the call counts as under way until `vacate`, also when it is over
   * before. False: there is no room, and the call has been refused.
   */
  occupy(bytes: number): boolean {
    if (!this.#stream.hold(bytes)) {
      this.#endWith({ code: statusCodes.RESOURCE_EXHAUSTED, message: memoryIsSpent }, 'cancelled');
      return false;
    }
    this.#stream.occupy();
    return true;
  }

  vacate(): void {
    this.#stream.vacate();
  }

  /** Stops taking messages until `resume`: what the caller sends meanwhile fills its window, and no more than that. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#stream.heldBytes > 0) this.#stream.used(this.#stream.heldBytes);
  }

  /** Sends the headers of the response, before its first message. */
  begin(): void {
    if (this.#response !== 'none') return;
    this.#response = 'begun';
    this.#stream.sendHeaders(responseFields, false);
  }

  /** Sends a message, which must not be changed afterwards; false: wait for `drained` before the next. */
  send(message: Uint8Array): boolean {
    if (this.isOver) return false;
    this.begin();
    writeUint32(prefix, 1, message.length);
    this.#stream.sendData(message, false, prefix);
    return this.#mayGoOn;
  }

  /** Sends messages with their prefixes, or a part of that: the rest must follow. As `send` otherwise. */
  sendRaw(bytes: Uint8Array): boolean {
    if (this.isOver) return false;
    this.begin();
    this.#stream.sendData(bytes, false);
    return this.#mayGoOn;
  }

  /**
   * Begins a message of so many bytes where it goes out from: it must be written to `output` at once, from the place that this answers.
   * -1: it has to wait; send it.
   */
  beginMessage(bytes: number): number {
    if (this.isOver) return -1;
    this.begin();
    const at = this.#stream.beginData(prefixBytes + bytes);
    if (at < 0) return -1;
    const { output } = this.#stream;
    output[at] = 0;
    writeUint32(output, at + 1, bytes);
    return at + prefixBytes;
  }

  get output(): Buffer {
    return this.#stream.output;
  }

  get #mayGoOn(): boolean {
    return this.#stream.queuedBytes < this.#options.backlogBytes;
  }

  /** Ends the call well with its one message. */
  answer(message: Uint8Array, trailers: readonly HeaderField[] = noFields): void {
    this.send(message);
    this.succeed(trailers);
  }

  /** Ends the call well, after the messages that were sent. */
  succeed(trailers: readonly HeaderField[] = noFields): void {
    if (this.isOver) return;
    this.#end(okFieldsWith(trailers));
  }

  /** Whether something that was sent, or the end of the call, waits for the caller. */
  get isWaiting(): boolean {
    return !this.#stream.isOver;
  }

  /** Ends the call with a status, after the messages that were sent. */
  finish(status: CallStatus, trailers: readonly HeaderField[] = noFields): void {
    if (this.isOver) return;
    this.#end([...fieldsOf(status), ...trailers]);
  }

  /** Ends the call without a status: for a caller that does not read what waits for it. */
  abort(error: ErrorName): void {
    this.#stream.reset(error);
  }

  reset(_error: ErrorName): void {
    this.#over('cancelled');
  }

  #end(fields: readonly HeaderField[]): void {
    const isFirst = this.#response === 'none';
    this.#response = 'ended';
    this.#disarm();
    if (isFirst) this.#stream.sendHeaders([...responseFields, ...fields], true);
    else this.#stream.sendTrailers(fields);
  }

  #endWith(status: CallStatus, why: CallEnd): void {
    const { listener } = this;
    this.finish(status);
    listener?.over(why);
  }

  #over(why: CallEnd): void {
    if (this.isOver) return;
    this.#response = 'ended';
    this.#disarm();
    this.listener?.over(why);
  }

  drained(): void {
    this.listener?.drained();
  }

  /** The deadline has passed. */
  ring(): void {
    this.#armedAtMs = undefined;
    this.#endWith({ code: statusCodes.DEADLINE_EXCEEDED, message: 'the deadline has passed' }, 'deadline');
  }

  #arm(): void {
    if (this.#timeoutMs === undefined || this.#armedAtMs !== undefined) return;
    const { clock } = this.#options;
    this.#armedAtMs = clock.monotonicMs();
    clock.arm(this, this.#armedAtMs + this.#timeoutMs);
  }

  #disarm(): void {
    if (this.#armedAtMs !== undefined) this.#options.clock.disarm(this);
    this.#armedAtMs = undefined;
  }
}

function fieldsOf({ code, message }: CallStatus): readonly HeaderField[] {
  const status = new HeaderField('grpc-status', String(code));
  return message === '' ? [status] : [status, new HeaderField('grpc-message', percentEncode(message))];
}
