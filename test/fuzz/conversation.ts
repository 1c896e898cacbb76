import { frameFlags, frameTypes } from '../../sidecar/wire/frame.ts';
import { frame, settingsPayload, uint32 } from '../support/sidecar-wire/frames.ts';
import type { Dice } from './dice.ts';
import { HeaderWriter } from './header-writer.ts';
import type { Fields } from './vocabulary.ts';

const { DATA, HEADERS, CONTINUATION, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE } = frameTypes;
const { END_HEADERS, END_STREAM, PADDED } = frameFlags;
const unknownType = 0xbe;
/** Table size, streams, window, frame size: each of them legal whenever it comes. */
const legalSettings = [
  [1, 0],
  [1, 4_096],
  [1, 100],
  [3, 100],
  [3, 10],
  [4, 0],
  [4, 65_535],
  [4, 65_535],
  [5, 16_384],
  [0xff, 1],
] as const;
const bodies = ['', 'a', 'hello', '\u0003xx', 'x'.repeat(300), 'y'.repeat(900)].map((text) =>
  Buffer.concat([Buffer.from([0]), uint32(text.length), Buffer.from(text, 'latin1')]),
);
const cancel = 8;

/** Frames of one side that keep to the RFC, whatever the other side says: of streams, and of the connection. */
export class Conversation {
  readonly dice: Dice;
  readonly #writer: HeaderWriter;

  constructor(dice: Dice) {
    this.dice = dice;
    this.#writer = new HeaderWriter(dice);
  }

  settings(): Buffer {
    const values = Array.from({ length: this.dice.below(4) }, () => this.dice.pick(legalSettings));
    return frame(SETTINGS, 0, 0, settingsPayload(...values));
  }

  /** A frame that is about no message. */
  aside(streamId: number): Buffer {
    switch (this.dice.below(6)) {
      case 0:
        return this.settings();
      case 1:
        return frame(PING, 0, 0, 'pingpong');
      case 2:
        return frame(PRIORITY, 0, streamId, Buffer.from([0, 0, 0, 0, 16]));
      case 3:
        return frame(unknownType, this.dice.below(256), streamId, 'anything');
      default:
        return frame(WINDOW_UPDATE, 0, this.dice.chance(0.4) ? 0 : streamId, uint32(1 + this.dice.below(70_000)));
    }
  }

  headers(streamId: number, fields: Fields, isLast: boolean): Buffer {
    const block = this.#writer.block(fields);
    const end = isLast ? END_STREAM : 0;
    if (this.dice.chance(0.8)) return frame(HEADERS, END_HEADERS | end, streamId, block);
    const at = this.dice.below(block.length + 1);
    return Buffer.concat([
      frame(HEADERS, end, streamId, block.subarray(0, at)),
      frame(CONTINUATION, END_HEADERS, streamId, block.subarray(at)),
    ]);
  }

  data(streamId: number, payload: Buffer, isLast: boolean): Buffer {
    const end = isLast ? END_STREAM : 0;
    if (this.dice.chance(0.9)) return frame(DATA, end, streamId, payload);
    const padding = this.dice.below(20);
    const padded = Buffer.concat([Buffer.from([padding]), payload, Buffer.alloc(padding)]);
    return frame(DATA, PADDED | end, streamId, padded);
  }

  reset(streamId: number): Buffer {
    return frame(RST_STREAM, 0, streamId, uint32(cancel));
  }

  /** Messages of a stream: most have one. */
  body(): Buffer {
    const count = this.dice.chance(0.7) ? 1 : this.dice.below(4);
    return Buffer.concat(Array.from({ length: count }, () => this.dice.pick(bodies)));
  }

  /** A part of what is left to say; now and then none of it. */
  part(left: Buffer): Buffer {
    return this.dice.chance(0.5) ? left : left.subarray(0, this.dice.below(left.length + 1));
  }
}
