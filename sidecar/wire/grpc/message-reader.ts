import { readUint32 } from '../frame.ts';

/** Flag and length before each message. */
export const prefixBytes = 5;

/** Takes the messages of a stream. */
export interface MessageReceiver {
  /**
   * How long a message is going to be, before it is held: false refuses it, and nothing more is read. `isHere`: all of it has come, and
   * is not held at all.
   */
  announce(bytes: number, isCompressed: boolean, isHere: boolean): boolean;
  /** A message. `isShared`: it stands in a buffer that is used again, so what is kept must be copied. */
  message(bytes: Buffer, isShared: boolean): void;
}

const noBytes: Buffer = Buffer.alloc(0);
/** Grown by doubling from here: a length that was only promised takes no memory. */
const firstBytes = 16 * 1024;

/** Cuts the body of a gRPC stream into messages, in place where a message lies in one piece of it. */
export class MessageReader {
  readonly #receiver: MessageReceiver;
  /** Of the prefix that is being read: numbers, for a buffer of its own costs each call more than all the rest of this. */
  #prefixBytes = 0;
  #flag = 0;
  #announcedBytes = 0;
  #partial = noBytes;
  #partialBytes = 0;
  /** Of the message whose prefix has been read; undefined: of none. */
  #messageBytes: number | undefined;
  #isRefused = false;

  constructor(receiver: MessageReceiver) {
    this.#receiver = receiver;
  }

  /** Whether a message has begun and not ended. */
  get isInside(): boolean {
    return this.#prefixBytes > 0;
  }

  read(buffer: Buffer, start: number, end: number): void {
    let at = this.#prefixBytes === 0 ? this.#readWhole(buffer, start, end) : start;
    while (!this.#isRefused && (at < end || this.#messageBytes === 0)) {
      if (this.#messageBytes === undefined) at = this.#readPrefix(buffer, at, end);
      if (this.#messageBytes !== undefined) at = this.#readMessage(buffer, at, end);
    }
  }

  /** Messages that lie in the piece from beginning to end, as nearly all do, with nothing in between; answers where they end. */
  #readWhole(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (!this.#isRefused && end - at >= prefixBytes) {
      const bytes = readUint32(buffer, at + 1);
      const to = at + prefixBytes + bytes;
      if (to > end) break;
      if (this.#receiver.announce(bytes, buffer[at] !== 0, true))
        this.#receiver.message(buffer.subarray(at + prefixBytes, to), true);
      else this.#isRefused = true;
      at = to;
    }
    return at;
  }

  #readPrefix(buffer: Buffer, from: number, end: number): number {
    let at = from;
    for (; at < end && this.#prefixBytes < prefixBytes; at++) {
      const byte = buffer[at] as number;
      if (this.#prefixBytes === 0) this.#flag = byte;
      else this.#announcedBytes = ((this.#announcedBytes << 8) | byte) >>> 0;
      this.#prefixBytes++;
    }
    if (this.#prefixBytes < prefixBytes) return at;
    const bytes = this.#announcedBytes;
    if (this.#receiver.announce(bytes, this.#flag !== 0, false)) this.#messageBytes = bytes;
    else this.#isRefused = true;
    return at;
  }

  #readMessage(buffer: Buffer, from: number, end: number): number {
    const missing = (this.#messageBytes ?? 0) - this.#partialBytes;
    const isWhole = end - from >= missing;
    if (isWhole && this.#partialBytes === 0) {
      this.#finish(buffer.subarray(from, from + missing), true);
      return from + missing;
    }
    const to = isWhole ? from + missing : end;
    this.#keep(buffer, from, to);
    if (isWhole) this.#finish(this.#partial.subarray(0, this.#partialBytes), false);
    return to;
  }

  #keep(buffer: Buffer, from: number, to: number): void {
    const bytes = this.#partialBytes + to - from;
    if (bytes > this.#partial.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(this.#messageBytes ?? 0, Math.max(firstBytes, bytes * 2)));
      this.#partial.copy(larger, 0, 0, this.#partialBytes);
      this.#partial = larger;
    }
    buffer.copy(this.#partial, this.#partialBytes, from, to);
    this.#partialBytes = bytes;
  }

  #finish(message: Buffer, isShared: boolean): void {
    this.#partial = noBytes;
    this.#partialBytes = 0;
    this.#prefixBytes = 0;
    this.#announcedBytes = 0;
    this.#messageBytes = undefined;
    this.#receiver.message(message, isShared);
  }
}
