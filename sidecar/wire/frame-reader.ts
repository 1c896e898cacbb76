import { ConnectionError } from './error-code.ts';
import { type Frame, frameHeaderBytes, readUint31 } from './frame.ts';

/** Takes frames one by one. Throws a ConnectionError when the connection cannot go on. */
export type FrameReceiver = {
  receive(frame: Frame): void;
  /** Whether the rest of what was read is of no interest any more. */
  readonly isOver: boolean;
};

export type FrameReaderOptions = {
  /** Largest payload that we allow: our SETTINGS_MAX_FRAME_SIZE. */
  readonly frameBytesMax: number;
  /** What has to come before the first frame; empty on the side that hears no preface. */
  readonly preface: Buffer;
};

const noBytes = Buffer.alloc(0);

/**
 * Cuts what a socket read into frames (RFC 9113 §4.1), in place: only a frame that two reads share is copied, so a connection
 * holds one frame at most.
 */
export class FrameReader {
  readonly #options: FrameReaderOptions;
  readonly #receiver: FrameReceiver;
  readonly #frame: Frame = { type: 0, flags: 0, streamId: 0, buffer: noBytes, start: 0, end: 0 };
  #prefaceSeen = 0;
  /** The beginning of a frame whose end has not come. */
  #partial = noBytes;
  #partialBytes = 0;

  constructor(receiver: FrameReceiver, options: FrameReaderOptions) {
    this.#receiver = receiver;
    this.#options = options;
  }

  /** Whether something has begun that has not ended: a peer may not leave it so. */
  get isInside(): boolean {
    return this.#partialBytes > 0 || this.#prefaceSeen < this.#options.preface.length;
  }

  read(chunk: Buffer): void {
    let at = this.#prefaceSeen < this.#options.preface.length ? this.#readPreface(chunk) : 0;
    if (this.#partialBytes > 0) at = this.#completePartial(chunk, at);
    while (chunk.length - at >= frameHeaderBytes && !this.#receiver.isOver) {
      const end = at + frameHeaderBytes + this.#payloadBytes(chunk, at);
      if (end > chunk.length) break;
      this.#deliver(chunk, at, end);
      at = end;
    }
    // An own frame of 9 bytes without payload leaves nothing: then there is nothing to keep.
    this.#frame.buffer = noBytes;
    if (at < chunk.length && !this.#receiver.isOver) this.#keep(chunk, at);
  }

  #readPreface(chunk: Buffer): number {
    const { preface } = this.#options;
    const bytes = Math.min(chunk.length, preface.length - this.#prefaceSeen);
    if (chunk.compare(preface, this.#prefaceSeen, this.#prefaceSeen + bytes, 0, bytes) !== 0)
      throw new ConnectionError('PROTOCOL_ERROR', 'this is not the preface of HTTP/2');
    this.#prefaceSeen += bytes;
    return bytes;
  }

  #payloadBytes(buffer: Buffer, at: number): number {
    const bytes = ((buffer[at] as number) << 16) | ((buffer[at + 1] as number) << 8) | (buffer[at + 2] as number);
    // §4.2: also a frame of a type that we do not know.
    if (bytes > this.#options.frameBytesMax)
      throw new ConnectionError(
        'FRAME_SIZE_ERROR',
        `a frame of ${bytes} bytes, ${this.#options.frameBytesMax} at most`,
      );
    return bytes;
  }

  #deliver(buffer: Buffer, at: number, end: number): void {
    const frame = this.#frame;
    frame.type = buffer[at + 3] as number;
    frame.flags = buffer[at + 4] as number;
    frame.streamId = readUint31(buffer, at + 5);
    frame.buffer = buffer;
    frame.start = at + frameHeaderBytes;
    frame.end = end;
    this.#receiver.receive(frame);
  }

  /** Adds to the frame that had begun; answers where the rest of the chunk begins. */
  #completePartial(chunk: Buffer, from: number): number {
    let at = from;
    if (this.#partialBytes < frameHeaderBytes) {
      at = this.#fill(chunk, at, frameHeaderBytes);
      if (this.#partialBytes < frameHeaderBytes) return at;
    }
    const bytes = frameHeaderBytes + this.#payloadBytes(this.#partial, 0);
    at = this.#fill(chunk, at, bytes);
    if (this.#partialBytes < bytes) return at;
    const whole = this.#partial;
    this.#partial = noBytes;
    this.#partialBytes = 0;
    this.#deliver(whole, 0, bytes);
    return at;
  }

  #keep(chunk: Buffer, at: number): void {
    const rest = chunk.length - at;
    this.#fill(
      chunk,
      at,
      rest < frameHeaderBytes ? frameHeaderBytes : frameHeaderBytes + this.#payloadBytes(chunk, at),
    );
  }

  /** Copies until the partial frame has so many bytes, or the chunk ends. */
  #fill(chunk: Buffer, at: number, bytes: number): number {
    if (this.#partial.length < bytes) {
      // Not from the shared pool: a slow peer would hold all of it.
      const larger = Buffer.allocUnsafeSlow(bytes);
      this.#partial.copy(larger, 0, 0, this.#partialBytes);
      this.#partial = larger;
    }
    const copied = chunk.copy(this.#partial, this.#partialBytes, at, at + bytes - this.#partialBytes);
    this.#partialBytes += copied;
    return at + copied;
  }
}
