import { frameFlags, frameTypes } from '../../sidecar/wire/frame.ts';
import { frame, settingsPayload, uint32 } from '../support/sidecar-wire/frames.ts';
import type { Vocabulary } from './vocabulary.ts';

const { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION } =
  frameTypes;
const { END_HEADERS, END_STREAM, PADDED, ACK } = frameFlags;

/** Table size, streams, window, frame size, list size, and one that nobody knows. */
const goodSettings = [
  [1, 0],
  [1, 100],
  [1, 4_096],
  [3, 1],
  [4, 0],
  [4, 1],
  [4, 65_535],
  [5, 16_384],
  [6, 100],
  [0xff, 1],
] as const;
const messages = ['', 'a', 'hello', '\u0003xx', 'x'.repeat(300)].map((text) =>
  Buffer.concat([Buffer.from([0]), uint32(text.length), Buffer.from(text, 'latin1')]),
);

/** The frames of a connection: well-formed for the most part, and in an order that makes sense as often as not. */
export class FrameMutations {
  readonly #random: () => number;
  readonly #vocabulary: Vocabulary;
  /** The first stream that nobody has opened yet. */
  #nextId: number;

  constructor(random: () => number, vocabulary: Vocabulary) {
    this.#random = random;
    this.#vocabulary = vocabulary;
    this.#nextId = 1 + 2 * vocabulary.opened;
  }

  /** All the bytes of a connection's life. */
  connection(): Buffer {
    const { preface } = this.#vocabulary;
    const first = this.#headers();
    const frames = Array.from({ length: 1 + this.#below(12) }, () => this.frame());
    if (this.#chance(0.3)) this.#mutateOrder(frames);
    const bytes = Buffer.concat([preface, this.#settings(), first, ...frames]);
    const flips = this.#chance(0.5) ? 0 : this.#below(4);
    // The preface stays mostly: what comes after it is what matters.
    const from = this.#chance(0.02) ? 0 : preface.length;
    for (let flip = 0; flip < flips; flip++) this.#mutateByte(bytes, from);
    return this.#chance(0.1) ? bytes.subarray(0, this.#below(bytes.length)) : bytes;
  }

  /** Pieces in which a socket might have read them. */
  cut(bytes: Buffer): Buffer[] {
    const pieces: Buffer[] = [];
    let at = 0;
    const sizeMax = this.#pick([1, 3, 10, 100, 100_000]);
    while (at < bytes.length) {
      const size = 1 + this.#below(sizeMax);
      pieces.push(bytes.subarray(at, at + size));
      at += size;
    }
    return pieces;
  }

  /** One frame, well-formed for the most part. */
  frame(): Buffer {
    const id = this.#id();
    // The last two kinds end the connection nearly always: what comes after them tests nothing.
    switch (this.#below(this.#chance(0.1) ? 14 : 12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.#headers();
      case 4:
      case 5:
      case 6:
        return frame(DATA, this.#flags(END_STREAM), id, this.#padded(this.#pick(messages)));
      case 7:
        return frame(RST_STREAM, 0, id, uint32(this.#below(20)));
      case 8:
        return this.#settings();
      case 9:
        return frame(PING, this.#flags(ACK), 0, 'pingpong');
      case 10:
        return frame(WINDOW_UPDATE, 0, this.#chance(0.3) ? 0 : id, uint32(this.#pick([0, 1, 100, 65_535, 0x7fffffff])));
      case 11:
        return this.#chance(0.5)
          ? frame(PRIORITY, 0, id, Buffer.concat([uint32(2 * this.#below(8)), Buffer.from([16])]))
          : frame(GOAWAY, 0, 0, uint32(id, this.#below(16)));
      case 12:
        return frame(CONTINUATION, this.#flags(END_HEADERS), id, this.#pick(this.#vocabulary.otherBlocks));
      default:
        return frame(this.#pick([PUSH_PROMISE, this.#below(256)]), this.#below(256), id, Buffer.alloc(this.#below(20)));
    }
  }

  #headers(): Buffer {
    const { opened, blocks, otherBlocks, exchange } = this.#vocabulary;
    const id = opened === 0 && this.#chance(0.8) ? this.#nextId : this.#id();
    if (id === this.#nextId) this.#nextId += 2;
    if (exchange !== undefined && this.#chance(0.3)) return exchange(id, this.#pick(messages));
    const block = this.#pick(this.#chance(0.2) ? otherBlocks : blocks);
    const end = this.#flags(END_STREAM);
    if (this.#chance(0.8)) return frame(HEADERS, END_HEADERS | end, id, block);
    const at = this.#below(block.length + 1);
    return Buffer.concat([
      frame(HEADERS, end, id, block.subarray(0, at)),
      frame(CONTINUATION, END_HEADERS, id, block.subarray(at)),
    ]);
  }

  #settings(): Buffer {
    const values = Array.from({ length: this.#below(4) }, () =>
      this.#chance(0.9)
        ? this.#pick(goodSettings)
        : ([this.#below(8), this.#pick([0, 1, 100, 4_096, 65_535, 16_384, 0x7fffffff])] as const),
    );
    return frame(SETTINGS, 0, 0, settingsPayload(...values));
  }

  #padded(payload: Buffer): Buffer {
    return this.#chance(0.9) ? payload : frame(DATA, PADDED, 1, payload).subarray(9);
  }

  #mutateOrder(frames: Buffer[]): void {
    const at = this.#below(frames.length);
    const other = this.#below(frames.length);
    const moved = frames[at] ?? Buffer.alloc(0);
    if (this.#chance(0.5)) frames.splice(other, 0, moved);
    else [frames[at], frames[other]] = [frames[other] ?? moved, moved];
  }

  #mutateByte(bytes: Buffer, from: number): void {
    const at = from + this.#below(Math.max(1, bytes.length - from));
    bytes[at] = this.#chance(0.5) ? (bytes[at] ?? 0) ^ (1 << this.#below(8)) : this.#pick([0, 1, 0x7f, 0x80, 0xff]);
  }

  #id(): number {
    // Of a stream that was opened: any other ends the connection nearly always.
    return this.#chance(0.98) ? 1 + 2 * this.#below(Math.max(1, (this.#nextId - 1) / 2)) : this.#below(20);
  }

  #flags(flag: number): number {
    return this.#chance(0.5) ? flag : 0;
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[this.#below(items.length)] as Item;
  }
}
