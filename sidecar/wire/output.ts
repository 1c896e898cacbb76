import type { Duplex } from 'node:stream';
import type { BufferPool } from './buffer-pool.ts';
import { type ErrorName, errorCodes } from './error-code.ts';
import { clientPreface, frameFlags, frameHeaderBytes, frameTypes, writeUint32 } from './frame.ts';
import type { Flushable, FlushQueue } from './turn.ts';

export type OutputOptions = {
  readonly socket: Duplex;
  readonly turn: FlushQueue;
  readonly pool: BufferPool;
  /** Whether the socket may still read a buffer after it said that it has written it: TLS does. */
  readonly keepsBuffers: boolean;
  /** The socket has passed on what it held when `awaitPassing` was called. */
  readonly onPassed: () => void;
};

const noBytes: Buffer = Buffer.alloc(0);

/**
 * The frames that a connection sends, gathered in one buffer and written at the end of the turn, or when the buffer is full.
 * A connection has a buffer only while it has something to write: idle ones cost nothing.
 */
export class Output implements Flushable {
  readonly #options: OutputOptions;
  #buffer = noBytes;
  #length = 0;
  #held = 0;
  #writtenBytes = 0;
  #frameBytesMax = 0;
  #awaitsPassing = false;

  constructor(options: OutputOptions, frameBytesMax: number) {
    this.#options = options;
    this.#frameBytesMax = frameBytesMax;
  }

  /** Largest payload that the peer takes; ours stay below the size of a buffer all the same. */
  set frameBytesMax(bytes: number) {
    this.#frameBytesMax = bytes;
  }

  /** Bytes that the socket could not pass on yet. */
  get backlogBytes(): number {
    return this.#options.socket.writableLength;
  }

  /** Bytes that the socket has passed on since the beginning. */
  get passedOnBytes(): number {
    return this.#writtenBytes - this.backlogBytes;
  }

  /**
   * Somebody waits for the socket. It says `drain` by itself only when it has held as much as its own mark, 64 KiB: more than it may hold
   * where over a thousand connections share their memory. A write of nothing comes to its end behind all that was written before.
   */
  awaitPassing(): void {
    const { socket, onPassed } = this.#options;
    if (this.#awaitsPassing || this.backlogBytes === 0 || socket.writableNeedDrain || !socket.writable) return;
    this.#awaitsPassing = true;
    socket.write(noBytes, () => {
      this.#awaitsPassing = false;
      onPassed();
    });
  }

  /** Nothing is read any more before the socket has passed on what it holds now. */
  pauseReading(): void {
    this.#options.socket.pause();
    this.awaitPassing();
  }

  /** Until `release`, nothing is flushed at the end of the turn: whoever holds will. */
  hold(): void {
    this.#held++;
  }

  release(): void {
    this.#held--;
    if (this.#held === 0) this.flush();
  }

  /** Writes a frame's header; its payload must be written next, by whoever asked. Answers where the payload begins. */
  #begin(type: number, flags: number, streamId: number, bytes: number): number {
    const at = this.#reserve(frameHeaderBytes + bytes);
    const buffer = this.#buffer;
    buffer[at] = bytes >>> 16;
    buffer[at + 1] = bytes >>> 8;
    buffer[at + 2] = bytes;
    buffer[at + 3] = type;
    buffer[at + 4] = flags;
    writeUint32(buffer, at + 5, streamId);
    return at + frameHeaderBytes;
  }

  #reserve(bytes: number): number {
    if (this.#length + bytes > this.#buffer.length) {
      this.flush();
      this.#buffer = this.#options.pool.take();
      if (this.#held === 0) this.#options.turn.add(this);
    }
    const at = this.#length;
    this.#length += bytes;
    return at;
  }

  flush(): void {
    if (this.#length === 0) return;
    const { socket, pool, keepsBuffers } = this.#options;
    const buffer = this.#buffer;
    const written = buffer.subarray(0, this.#length);
    this.#writtenBytes += this.#length;
    this.#buffer = noBytes;
    this.#length = 0;
    if (!socket.writable) return pool.give(buffer);
    // A socket that waits for its peer keeps what it is given: an exact copy, so that it does not keep more.
    if (keepsBuffers || socket.writableLength > 0) {
      socket.write(Buffer.from(written));
      return pool.give(buffer);
    }
    socket.write(written);
    // Written at once, as nearly always: then nobody else has the buffer.
    if (socket.writableLength === 0) pool.give(buffer);
  }

  preface(): void {
    const at = this.#reserve(clientPreface.length);
    clientPreface.copy(this.#buffer, at);
  }

  settings(payload: Buffer): void {
    const at = this.#begin(frameTypes.SETTINGS, 0, 0, payload.length);
    payload.copy(this.#buffer, at);
  }

  settingsAck(): void {
    this.#begin(frameTypes.SETTINGS, frameFlags.ACK, 0, 0);
  }

  ping(payload: Buffer, start: number): void {
    const at = this.#begin(frameTypes.PING, 0, 0, 8);
    payload.copy(this.#buffer, at, start, start + 8);
  }

  pingAck(payload: Buffer, start: number): void {
    const at = this.#begin(frameTypes.PING, frameFlags.ACK, 0, 8);
    payload.copy(this.#buffer, at, start, start + 8);
  }

  goAway(lastStreamId: number, error: ErrorName, debug = ''): void {
    const at = this.#begin(frameTypes.GOAWAY, 0, 0, 8 + Buffer.byteLength(debug));
    writeUint32(this.#buffer, at, lastStreamId);
    writeUint32(this.#buffer, at + 4, errorCodes[error]);
    this.#buffer.write(debug, at + 8);
  }

  resetStream(streamId: number, error: ErrorName): void {
    const at = this.#begin(frameTypes.RST_STREAM, 0, streamId, 4);
    writeUint32(this.#buffer, at, errorCodes[error]);
  }

  windowUpdate(streamId: number, bytes: number): void {
    const at = this.#begin(frameTypes.WINDOW_UPDATE, 0, streamId, 4);
    writeUint32(this.#buffer, at, bytes);
  }

  /** A header block: HEADERS, and CONTINUATION when it is longer than a frame (RFC 9113 §6.10). */
  headers(streamId: number, block: Buffer, isLast: boolean): void {
    const endStream = isLast ? frameFlags.END_STREAM : 0;
    let type: number = frameTypes.HEADERS;
    let from = 0;
    do {
      const to = Math.min(block.length, from + this.#frameBytesMax);
      const endHeaders = to === block.length ? frameFlags.END_HEADERS : 0;
      const flags = type === frameTypes.HEADERS ? endStream | endHeaders : endHeaders;
      const at = this.#begin(type, flags, streamId, to - from);
      block.copy(this.#buffer, at, from, to);
      from = to;
      type = frameTypes.CONTINUATION;
    } while (from < block.length);
  }

  /**
   * Begins the HEADERS frame of a whole block that takes so many bytes at most, less than any frame may; it must be written next into
   * `buffer`, at the place that this answers.
   */
  beginHeaders(streamId: number, bytesMax: number, isLast: boolean): number {
    const flags = isLast ? frameFlags.END_STREAM | frameFlags.END_HEADERS : frameFlags.END_HEADERS;
    return this.#begin(frameTypes.HEADERS, flags, streamId, bytesMax);
  }

  /** Ends it where its block ends. */
  endHeaders(start: number, end: number): void {
    const bytes = end - start;
    this.#buffer[start - frameHeaderBytes] = bytes >>> 16;
    this.#buffer[start - frameHeaderBytes + 1] = bytes >>> 8;
    this.#buffer[start - frameHeaderBytes + 2] = bytes;
    this.#length = end;
  }

  /** Begins a DATA frame; its payload of so many bytes must be written next into `buffer`, at the place that this answers. */
  data(streamId: number, bytes: number, isLast: boolean): number {
    return this.#begin(frameTypes.DATA, isLast ? frameFlags.END_STREAM : 0, streamId, bytes);
  }

  /** Where the payload of the frame that was just begun goes. */
  get buffer(): Buffer {
    return this.#buffer;
  }
}
