import type { ErrorName } from './error-code.ts';
import type { HeaderList } from './header-list.ts';
import type { HeaderField } from './hpack/header-field.ts';
import { maySend, nextState, type StreamEvent, type StreamState } from './stream-state.ts';
import { ReceiveWindow } from './receive-window.ts';

/**
 * Takes what comes on one stream, in order: a header list, data, trailers. A call may end the stream; after `isLast`, and
 * after `reset`, nothing comes any more.
 */
export interface StreamConsumer {
  headers(list: HeaderList, isLast: boolean): void;
  /** A piece of the body, which stands in a buffer that is used again: what is kept must be copied. Give it back with `used`. */
  data(buffer: Buffer, start: number, end: number, isLast: boolean): void;
  /** The stream is over before both sides have ended it: the peer reset it, its connection broke, or it broke the rules. */
  reset(error: ErrorName): void;
  /** All that waited for a window or for the socket has gone out. */
  drained(): void;
  /**
   * The stream is open still, and all that was read with its header list has been looked at. Said once at the most, and never of
   * a call that is answered as it is read: what only longer ones need is made here, at no cost to those.
   */
  stays?(): void;
}

/** What a stream needs of its connection. */
export interface StreamCarrier {
  writeHeaders(stream: Stream, fields: readonly HeaderField[], isLast: boolean): void;
  /** Sends as much as the connection's window and the socket take, and answers how much: all or nothing of a part less than a frame. */
  writeData(stream: Stream, piece: DataPiece, isLast: boolean): void;
  /** Begins a piece of the body, which must be written to `output` at once, from the place that this answers; -1: it does not fit a frame. */
  beginData(stream: Stream, bytes: number): number;
  readonly output: Buffer;
  writeReset(stream: Stream, error: ErrorName): void;
  /** How much may go out now on any stream. */
  readonly sendable: number;
  /** Calls `pump` of the stream as soon as the connection can send again. */
  awaitWindow(stream: Stream): void;
  /** Room for what waits; false: the connection holds as much as it may. */
  reserve(bytes: number): boolean;
  unreserve(bytes: number): void;
  giveBack(stream: Stream, bytes: number): void;
  /** The stream has reached the state `closed`. */
  closed(stream: Stream, event: StreamEvent): void;
  /** Nothing works any more for a stream that was closed before. */
  vacated(): void;
}

/** Bytes of a body: `prefix` first, if there is one. They must not be changed before they have been sent. */
export type DataPiece = { prefix: Uint8Array | undefined; bytes: Uint8Array; start: number; end: number };

type Queued =
  | { readonly kind: 'data'; readonly bytes: Uint8Array; sent: number; readonly isLast: boolean }
  | { readonly kind: 'trailers'; readonly fields: readonly HeaderField[] };

/** Reused for what goes out at once: sending allocates nothing. */
const piece: DataPiece = { prefix: undefined, bytes: new Uint8Array(0), start: 0, end: 0 };

export type StreamOptions = {
  readonly sendWindow: number;
  readonly receiveWindow: number;
  readonly endsBothWays: boolean;
};

/** One stream of a connection: its state, its windows, and what waits for them. RFC 9113 §5. */
export class Stream {
  readonly id: number;
  readonly receiveWindow: ReceiveWindow;
  state: StreamState = 'open';
  consumer: StreamConsumer | undefined;
  /** What the peer lets us send; below 0 after it made its windows smaller (RFC 9113 §6.9.2). */
  sendWindow: number;
  /** What content-length promised and has not come; undefined: it promised nothing. */
  bodyBytesLeft: number | undefined;
  /** A server's: its answer ends the stream, whatever else the client meant to send (RFC 9113 §8.1). */
  readonly endsBothWays: boolean;
  /** Whether the header list before the body has come: a request comes with it, a response is waited for. */
  mayHaveBody: boolean;
  /** Received and neither used nor given back. */
  heldBytes = 0;
  readonly #carrier: StreamCarrier;
  #queue: Queued[] | undefined;
  #queuedBytes = 0;
  #reservedBytes = 0;
  #heldCounted = 0;
  #isOccupied = false;

  constructor(id: number, carrier: StreamCarrier, options: StreamOptions) {
    this.id = id;
    this.endsBothWays = this.mayHaveBody = options.endsBothWays;
    this.#carrier = carrier;
    this.sendWindow = options.sendWindow;
    this.receiveWindow = new ReceiveWindow(options.receiveWindow);
  }

  /** Bytes of the body that wait. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get isOver(): boolean {
    return this.state === 'closed';
  }

  /** Holds a body against its content-length (RFC 9113 §8.1.1); false: they differ. */
  countBody(bytes: number, isLast: boolean): boolean {
    if (this.bodyBytesLeft === undefined) return true;
    this.bodyBytesLeft -= bytes;
    return this.bodyBytesLeft >= 0 && (!isLast || this.bodyBytesLeft === 0);
  }

  sendHeaders(fields: readonly HeaderField[], isLast: boolean): void {
    if (!maySend(this.state)) return;
    this.#carrier.writeHeaders(this, fields, isLast);
    if (isLast) this.advance('ended_local');
  }

  /** Sends a piece of the body, or lets it wait for its window: ask `queuedBytes` before more of it. */
  sendData(bytes: Uint8Array, isLast: boolean, prefix?: Uint8Array): void {
    if (!maySend(this.state)) return;
    const length = bytes.length + (prefix?.length ?? 0);
    if (this.#queue === undefined && length <= this.#sendableNow()) {
      piece.prefix = prefix;
      piece.bytes = bytes;
      piece.start = 0;
      piece.end = bytes.length;
      this.#carrier.writeData(this, piece, isLast);
      if (isLast) this.advance('ended_local');
      return;
    }
    if (!this.#carrier.reserve(length)) return this.reset('ENHANCE_YOUR_CALM');
    const whole = prefix === undefined ? bytes : Buffer.concat([prefix, bytes]);
    this.#queuedBytes += length;
    (this.#queue ??= []).push({ kind: 'data', bytes: whole, sent: 0, isLast });
    this.pump(Number.POSITIVE_INFINITY);
  }

  /**
   * Begins a piece of the body where it goes out from: it must be written to `output` at once, from the place that this answers. -1: it
   * has to wait, or to be cut; send it.
   */
  beginData(bytes: number): number {
    if (this.#queue !== undefined || !maySend(this.state) || bytes > this.#sendableNow()) return -1;
    return this.#carrier.beginData(this, bytes);
  }

  get output(): Buffer {
    return this.#carrier.output;
  }

  sendTrailers(fields: readonly HeaderField[]): void {
    if (!maySend(this.state)) return;
    if (this.#queue === undefined) this.sendHeaders(fields, true);
    else this.#queue.push({ kind: 'trailers', fields });
  }

  /** Ends the stream both ways. */
  reset(error: ErrorName): void {
    if (this.isOver) return;
    this.#carrier.writeReset(this, error);
    this.close('reset', error);
  }

  /** Makes room for a body that is being put together; false: the connection holds as much as it may. Let go of at the end. */
  hold(bytes: number): boolean {
    if (this.isOver || !this.#carrier.reserve(bytes)) return false;
    this.#reservedBytes += bytes;
    return true;
  }

  letGo(): void {
    if (this.#reservedBytes === 0) return;
    this.#carrier.unreserve(this.#reservedBytes);
    this.#reservedBytes = 0;
  }

  get isOccupied(): boolean {
    return this.#isOccupied;
  }

  /**
   * Something works for the stream. Until `vacate` it counts as one of its connection's, with what it holds, also when it is
   * over: who resets a call does not end the work for it, and must not get place for another by that.
   */
  occupy(): void {
    if (!this.isOver) this.#isOccupied = true;
  }

  vacate(): void {
    if (!this.#isOccupied) return;
    this.#isOccupied = false;
    this.letGo();
    if (this.isOver) this.#carrier.vacated();
  }

  /** Tells that data has been used, so that the peer may send as much again. */
  used(bytes: number): void {
    if (this.isOver) return;
    this.heldBytes -= bytes;
    if (this.#heldCounted > this.heldBytes) this.#uncountHeld();
    this.#carrier.giveBack(this, bytes);
  }

  /** What was not used at once takes memory until it is: where there is none, the stream ends. */
  countHeld(): void {
    const more = this.heldBytes - this.#heldCounted;
    if (more <= 0 || this.isOver) return;
    if (!this.#carrier.reserve(more)) return this.reset('ENHANCE_YOUR_CALM');
    this.#heldCounted += more;
  }

  #uncountHeld(): void {
    this.#carrier.unreserve(this.#heldCounted - this.heldBytes);
    this.#heldCounted = this.heldBytes;
  }

  /** Sends what waits, up to so many bytes; whatever is left waits for the window that is missing. */
  pump(bytesMax: number): void {
    let left = bytesMax;
    while (this.#queue !== undefined && !this.isOver) {
      const next = this.#queue[0];
      if (next === undefined) return this.#drained();
      if (next.kind === 'trailers') {
        this.#queue = undefined;
        this.sendHeaders(next.fields, true);
        return;
      }
      const sent = this.#sendSome(next, left);
      if (sent === undefined) return this.#carrier.awaitWindow(this);
      left -= sent;
    }
  }

  /** Bytes sent; undefined: nothing can be, for want of the connection's window, the socket or a share. */
  #sendSome(next: Queued & { kind: 'data' }, bytesMax: number): number | undefined {
    const rest = next.bytes.length - next.sent;
    // Windows may be below 0 (§6.9.2), and an end without data needs none.
    const sending = Math.max(0, Math.min(rest, bytesMax, this.#sendableNow()));
    // Its own window is empty: the peer's WINDOW_UPDATE pumps. Waiting for the connection besides does no harm.
    if (sending === 0 && rest > 0) return undefined;
    piece.prefix = undefined;
    piece.bytes = next.bytes;
    piece.start = next.sent;
    piece.end = next.sent + sending;
    next.sent += sending;
    this.#queuedBytes -= sending;
    this.#carrier.unreserve(sending);
    const isLast = next.isLast && sending === rest;
    if (sending === rest) this.#queue?.shift();
    this.#carrier.writeData(this, piece, isLast);
    if (isLast) {
      this.#queue = undefined;
      this.advance('ended_local');
    }
    return sending;
  }

  #drained(): void {
    this.#queue = undefined;
    this.consumer?.drained();
  }

  #sendableNow(): number {
    return Math.min(this.sendWindow, this.#carrier.sendable);
  }

  /** Takes a step of the state machine. */
  advance(event: StreamEvent): void {
    this.state = nextState(this.state, event);
    if (this.state === 'closed') this.#release(event);
    else if (event === 'ended_local' && this.endsBothWays) this.reset('NO_ERROR');
  }

  /** Ends it without a frame: the peer knows, or is gone. */
  close(event: StreamEvent, error: ErrorName): void {
    if (this.isOver) return;
    const { consumer } = this;
    this.state = 'closed';
    this.#release(event);
    consumer?.reset(error);
  }

  #release(event: StreamEvent): void {
    if (this.#queuedBytes > 0) this.#carrier.unreserve(this.#queuedBytes);
    this.#queuedBytes = 0;
    if (!this.#isOccupied) this.letGo();
    this.#queue = undefined;
    this.consumer = undefined;
    this.#carrier.closed(this, event);
    if (this.#heldCounted > 0) this.#uncountHeld();
  }
}
