import type { Position } from '../domain/change.ts';
import { frameOf } from '../platform/grpc/frame.ts';
import { encodePosition, encodeStaleness } from '../wire/watch-wire.ts';

/**
 * A WatchResponse that goes to many watchers. Only how fresh it is depends on the moment: that is appended, and the frame is
 * made anew when it has changed by a millisecond, so within one all watchers share one buffer.
 */
export class SharedMessage {
  readonly #parts: readonly Uint8Array[];
  #frame: { readonly bytes: Buffer; readonly stalenessMs: number | undefined } | undefined;

  constructor(...parts: readonly Uint8Array[]) {
    this.#parts = parts;
  }

  /** About what it takes of memory: its parts, and its frame. */
  get bytes(): number {
    return 2 * this.#parts.reduce((total, part) => total + part.length, 0);
  }

  /** `stalenessMs` undefined: newer changes are known. */
  frame(stalenessMs: number | undefined): Buffer {
    const rounded = stalenessMs === undefined ? undefined : Math.ceil(stalenessMs);
    if (this.#frame === undefined || this.#frame.stalenessMs !== rounded) {
      const staleness = rounded === undefined ? [] : [encodeStaleness(rounded)];
      this.#frame = { bytes: frameOf(...this.#parts, ...staleness), stalenessMs: rounded };
    }
    return this.#frame.bytes;
  }
}

/** An event without content, as a message at the position where it was last sent: most watchers are at the same one. */
export class PositionedMessage {
  readonly #event: Uint8Array;
  #last: { readonly position: Position; readonly message: SharedMessage } | undefined;

  constructor(event: Uint8Array) {
    this.#event = event;
  }

  at(position: Position): SharedMessage {
    if (this.#last?.position.revision !== position.revision)
      this.#last = { position, message: new SharedMessage(encodePosition(position), this.#event) };
    return this.#last.message;
  }
}
