import type { ChangeWindow } from '../domain/change-window.ts';
import type { Change } from '../domain/change.ts';
import { GenerationCache } from '../platform/generation-cache.ts';
import { encodeChange } from '../wire/watch-wire.ts';
import { watchLimits } from './limits.ts';
import {
  encodePiece,
  SnapshotPieces,
  type Snapshot,
  type SnapshotPiece,
  type WatchedState,
} from './snapshot-pieces.ts';
import type { WatchScope } from './watch-scope.ts';
import { nextStep, type Cursor, type Step } from './watch-step.ts';

/** Everything encoded that watchers share, of all tenants together: bounded, and made again when it was dropped. */
export class SharedEncodings {
  readonly changes = new GenerationCache<Change, Uint8Array>({
    bytesMax: watchLimits.encodedChangesBytesMax,
    bytesOf: (bytes) => bytes.length,
  });
  readonly steps = new GenerationCache<string, Step>({
    bytesMax: watchLimits.messagesBytesMax,
    bytesOf: ({ message }) => message?.bytes ?? 0,
  });
  readonly pieces = new GenerationCache<SnapshotPiece, readonly Buffer[]>({
    bytesMax: watchLimits.snapshotBytesMax,
    bytesOf: (chunks) => chunks.reduce((total, { length }) => total + length, 0),
  });
  #feedCount = 0;

  /** A number that no other feed has, of any tenant or history. */
  nextFeed(): number {
    return ++this.#feedCount;
  }
}

export type ScopeFeedOptions = {
  readonly state: WatchedState;
  readonly window: ChangeWindow;
  readonly scope: WatchScope;
  readonly encodings: SharedEncodings;
};

/** What watchers of one tenant with one filter get: each message is made once, for whoever is at the same place. */
export class ScopeFeed {
  readonly scope: WatchScope;
  /** How many watchers it has. */
  watchers = 0;
  readonly #encodings: SharedEncodings;
  readonly #number: number;
  readonly #pieces: SnapshotPieces;

  constructor({ state, window, scope, encodings }: ScopeFeedOptions) {
    this.scope = scope;
    this.#encodings = encodings;
    this.#number = encodings.nextFeed();
    this.#pieces = new SnapshotPieces({ state, window, scope });
  }

  snapshot(): Snapshot {
    return this.#pieces.now();
  }

  forgetOutrunSnapshot(): void {
    this.#pieces.forgetIfOutrun();
  }

  chunksOf(piece: SnapshotPiece): readonly Buffer[] {
    return this.#encodings.pieces.getOrMake(piece, () => encodePiece(piece));
  }

  /** The next message from a window that reaches the cursor; undefined at its end. */
  step(cursor: Cursor, window: ChangeWindow): Step | undefined {
    const { position, open } = cursor;
    // What a place leads to is the same for good, but for how much of what is not open a message takes with it.
    const place =
      open === undefined
        ? `${this.#number}/${position.revision}`
        : `${this.#number}/${position.revision}/${open.sent}/${open.end.revision}/${open.coalescedAfter ?? ''}`;
    const held = this.#encodings.steps.get(place);
    if (held !== undefined) return held;
    const step = nextStep(cursor, { window, scope: this.scope, encode: (change) => this.#encode(change) });
    if (step !== undefined) this.#encodings.steps.set(place, step);
    return step;
  }

  #encode(change: Change): Uint8Array {
    return this.#encodings.changes.getOrMake(change, () => encodeChange(change));
  }
}
