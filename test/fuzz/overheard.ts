import { clientPreface, frameTypes } from '../../sidecar/wire/frame.ts';
import { FrameSplitter } from '../support/sidecar-wire/frames.ts';
import type { MemorySocket } from '../support/sidecar-wire/memory-socket.ts';

const { HEADERS, RST_STREAM } = frameTypes;

/** What a server may answer: the streams that a client of ours has opened and not reset. */
export class Overheard {
  readonly #socket: MemorySocket;
  readonly #splitter = new FrameSplitter();
  #heard = 0;
  #toSkip = clientPreface.length;
  #frames = 0;
  #newestId = 0;
  readonly #open = new Set<number>();

  constructor(socket: MemorySocket) {
    this.#socket = socket;
  }

  get open(): readonly number[] {
    const { written } = this.#socket;
    for (; this.#heard < written.length; this.#heard++) {
      const bytes = written[this.#heard]!;
      const skipped = Math.min(this.#toSkip, bytes.length);
      this.#toSkip -= skipped;
      this.#splitter.push(bytes.subarray(skipped));
    }
    const { frames } = this.#splitter;
    for (; this.#frames < frames.length; this.#frames++) {
      const { type, streamId } = frames[this.#frames]!;
      // Trailers open nothing.
      if (type === HEADERS && streamId > this.#newestId) this.#open.add((this.#newestId = streamId));
      if (type === RST_STREAM) this.#open.delete(streamId);
    }
    return [...this.#open];
  }

  /** The server has said all of a stream. */
  done(streamId: number): void {
    this.#open.delete(streamId);
  }
}
