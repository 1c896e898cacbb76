import { duplexPair, type Duplex } from 'node:stream';
import { BufferPool } from '../../../sidecar/wire/buffer-pool.ts';
import { ByteBudget } from '../../../sidecar/wire/byte-budget.ts';
import { Connection } from '../../../sidecar/wire/connection.ts';
import type { StreamAcceptor } from '../../../sidecar/wire/connection-options.ts';
import { type ErrorName, errorNameOf } from '../../../sidecar/wire/error-code.ts';
import { clientPreface, frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import { repeatedByServer } from '../../../sidecar/wire/grpc/fields.ts';
import { HeaderDecoder } from '../../../sidecar/wire/hpack/header-decoder.ts';
import { outputBufferBytes, wireLimits, type WireLimits } from '../../../sidecar/wire/limits.ts';
import { Turn } from '../../../sidecar/wire/turn.ts';
import { FakeAlarmClock } from '../../fakes/fake-alarm-clock.ts';
import { frame, FrameSplitter, plainBlock, type ReadFrame, settingsPayload } from './frames.ts';

export type RawPeerOptions = {
  readonly acceptor: StreamAcceptor;
  readonly limits?: Partial<WireLimits>;
  /** What the peer sets at the beginning. */
  readonly settings?: readonly (readonly [identifier: number, value: number])[];
  /** Without the preface and SETTINGS: the test sends its own. */
  readonly isSilent?: boolean;
  readonly budget?: ByteBudget;
};

type Fields = readonly (readonly [name: string, value: string])[];

/** Fields of a request that is all right. */
export function requestFields(path = '/', ...more: Fields): Fields {
  return [[':method', 'POST'], [':scheme', 'http'], [':path', path], [':authority', 'peer'], ...more];
}

/** A client that sends what it is told, frame by frame, to a server of ours in the same process; no socket, no time. */
export class RawPeer {
  readonly clock = new FakeAlarmClock();
  readonly connection: Connection;
  /** Shared with the peers that it is given to. */
  readonly budget: ByteBudget;
  readonly #splitter = new FrameSplitter();
  readonly #far: Duplex;
  readonly #decoder = new HeaderDecoder({ tableBytesMax: 4_096, listBytesMax: 1_000_000 });
  #listeners: (() => void)[] = [];
  isClosed = false;
  /** Why the server ended the connection. */
  error: Error | undefined;

  constructor({ acceptor, limits = {}, settings = [], isSilent = false, budget }: RawPeerOptions) {
    this.budget = budget ?? new ByteBudget(wireLimits.heldBytesMaxOfAll);
    const [near, far] = duplexPair();
    this.#far = far;
    far.on('data', (chunk: Buffer) => {
      this.#splitter.push(Buffer.from(chunk));
      this.#changed();
    });
    this.connection = new Connection({
      socket: near,
      acceptor,
      limits: { ...wireLimits, ...limits },
      clock: this.clock,
      turn: new Turn((run) => void setImmediate(run)),
      pool: new BufferPool({ bytes: outputBufferBytes, keptMax: 4 }),
      budget: this.budget,
      repeated: repeatedByServer,
      onClosed: (error) => {
        this.error = error;
        this.isClosed = true;
        this.#changed();
      },
    });
    if (!isSilent) this.send(clientPreface, frame(frameTypes.SETTINGS, 0, 0, settingsPayload(...settings)));
  }

  /** What the server holds for us. */
  get waitingBytes(): number {
    return this.connection.queuedBytes + this.connection.backlogBytes;
  }

  get frames(): readonly ReadFrame[] {
    return this.#splitter.frames;
  }

  send(...parts: readonly (Uint8Array | string)[]): void {
    this.#far.write(
      Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part))),
    );
  }

  headers(streamId: number, fields: Fields, flags: number = frameFlags.END_HEADERS): void {
    this.send(frame(frameTypes.HEADERS, flags, streamId, plainBlock(fields)));
  }

  /** A request without a body. */
  request(streamId: number, path = '/', ...more: Fields): void {
    this.headers(streamId, requestFields(path, ...more), frameFlags.END_HEADERS | frameFlags.END_STREAM);
  }

  data(streamId: number, payload: Uint8Array | string, flags: number = frameFlags.END_STREAM): void {
    this.send(frame(frameTypes.DATA, flags, streamId, payload));
  }

  /** Stops reading: what the server sends stays with it. */
  stopReading(): void {
    this.#far.pause();
  }

  readOn(): void {
    this.#far.resume();
  }

  destroy(): void {
    this.#far.destroy();
  }

  /** Resolves once something holds of the frames so far; fails when the connection closes without it. */
  async until(holds: (frames: readonly ReadFrame[]) => boolean): Promise<void> {
    while (!holds(this.frames)) {
      if (this.isClosed)
        throw new Error(`closed (${String(this.error)}) after ${JSON.stringify(this.frames.map(shown))}`);
      await this.#change();
    }
  }

  async untilClosed(): Promise<void> {
    while (!this.isClosed) {
      // The connection waits a moment for us to read its last words.
      if (this.goAway !== undefined) this.#far.end();
      await this.#change();
    }
  }

  /** The first frame of a type, on a stream if one is given. */
  async frame(type: number, streamId?: number): Promise<ReadFrame> {
    const find = (): ReadFrame | undefined =>
      this.frames.find((each) => each.type === type && (streamId === undefined || each.streamId === streamId));
    await this.until(() => find() !== undefined);
    return find()!;
  }

  /** Proves that the connection is alive, and that everything before has been looked at. */
  async ping(payload = 'are you!'): Promise<void> {
    const isAnswer = (each: ReadFrame): boolean =>
      each.type === frameTypes.PING && each.flags === frameFlags.ACK && each.payload.toString('latin1') === payload;
    const before = this.frames.filter(isAnswer).length;
    this.send(frame(frameTypes.PING, 0, 0, payload));
    await this.until((frames) => frames.filter(isAnswer).length > before);
  }

  get goAway(): { readonly lastStreamId: number; readonly error: ErrorName } | undefined {
    const payload = this.frames.findLast((each) => each.type === frameTypes.GOAWAY)?.payload;
    return payload && { lastStreamId: payload.readUInt32BE(0), error: errorNameOf(payload.readUInt32BE(4)) };
  }

  /** The code that a stream was reset with. */
  resetOf(streamId: number): ErrorName | undefined {
    const found = this.frames.find((each) => each.type === frameTypes.RST_STREAM && each.streamId === streamId);
    return found && errorNameOf(found.payload.readUInt32BE(0));
  }

  /** The body that a stream got so far. */
  bodyOf(streamId: number): string {
    return Buffer.concat(
      this.frames
        .filter((each) => each.type === frameTypes.DATA && each.streamId === streamId)
        .map((each) => each.payload),
    ).toString('latin1');
  }

  /** All header blocks so far, decoded in their order, by stream. */
  headersOf(streamId: number): Record<string, string>[] {
    return this.frames
      .filter((each) => each.type === frameTypes.HEADERS)
      .map((each) => ({ id: each.streamId, fields: this.#decoded(each) }))
      .filter(({ id }) => id === streamId)
      .map(({ fields }) => fields);
  }

  /** Blocks must be decoded once each: the table goes with them. */
  readonly #decodedBlocks = new Map<ReadFrame, Record<string, string>>();

  #decoded(read: ReadFrame): Record<string, string> {
    let fields = this.#decodedBlocks.get(read);
    if (fields === undefined) {
      const list = this.#decoder.decode(read.payload, 0, read.payload.length);
      fields = Object.fromEntries(list.fields.map(({ name, value }) => [name, value]));
      this.#decodedBlocks.set(read, fields);
    }
    return fields;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#listeners.push(resolve);
    });
  }

  #changed(): void {
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }
}

function shown({ type, flags, streamId, payload }: ReadFrame): string {
  return `${type}/${flags}/${streamId}/${payload.length}`;
}
