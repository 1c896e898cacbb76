import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { errorNameOf } from '../../../sidecar/wire/error-code.ts';
import { clientPreface, frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import { HeaderDecoder } from '../../../sidecar/wire/hpack/header-decoder.ts';
import { frame, FrameSplitter, plainBlock, type ReadFrame, uint32 } from './frames.ts';

type Pair = readonly [name: string, value: string];

/** A call as its frames: what its caller says, right or wrong. */
export type SpokenCall = {
  /** All fields of the request, pseudo-headers too. */
  readonly fields: readonly Pair[];
  /** The payloads of its DATA frames. */
  readonly body: readonly Buffer[];
  /** What ends it: the HEADERS, the last DATA, a DATA without bytes, trailers; or it is cancelled. */
  readonly end: 'headers' | 'data' | 'empty_data' | 'trailers' | 'cancel';
};

/** What its caller hears. */
export type HeardCall = {
  /** Header lists in order: of the response, then the trailers, or both in one. */
  readonly lists: readonly Readonly<Record<string, string>>[];
  /** All DATA, in hex. */
  readonly body: string;
  /** The code of a reset before the end; undefined: there was none. */
  readonly reset: string | undefined;
};

const { DATA, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE } = frameTypes;
const { ACK, END_HEADERS, END_STREAM } = frameFlags;
const windowGiven = 1 << 24;
const trailers: readonly Pair[] = [['x-trailer', 'of the caller']];

/** The frames of a call; those of several may go out between each other, each call's in their order. */
export function framesOf(streamId: number, { fields, body, end }: SpokenCall): Buffer[] {
  const frames = [frame(HEADERS, END_HEADERS | (end === 'headers' ? END_STREAM : 0), streamId, plainBlock(fields))];
  for (const [index, payload] of body.entries()) {
    const isLast = end === 'data' && index === body.length - 1;
    frames.push(frame(DATA, isLast ? END_STREAM : 0, streamId, payload));
  }
  if (end === 'trailers') frames.push(frame(HEADERS, END_HEADERS | END_STREAM, streamId, plainBlock(trailers)));
  if (end === 'empty_data' || (end === 'data' && body.length === 0)) frames.push(frame(DATA, END_STREAM, streamId));
  if (end === 'cancel') frames.push(frame(RST_STREAM, 0, streamId, uint32(8)));
  return frames;
}

/** A caller of a front that says what it is told, byte by byte, and hears all that comes. */
export class FrontCaller implements Disposable {
  readonly #socket: Socket;
  readonly #splitter = new FrameSplitter();
  readonly #decoder = new HeaderDecoder({ tableBytesMax: 4_096, listBytesMax: 1_000_000 });
  readonly #lists = new Map<ReadFrame, Readonly<Record<string, string>>>();
  readonly #changed = new Set<() => void>();
  /** Between the pieces of a frame: what the server is answered waits. */
  #isInside = false;
  readonly #answers: Buffer[] = [];
  #isClosed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      const before = this.#frames.length;
      this.#splitter.push(chunk);
      for (const each of this.#frames.slice(before)) this.#take(each);
      this.#tell();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isClosed = true;
      this.#tell();
    });
  }

  static async open(address: string): Promise<FrontCaller> {
    const socket = createConnection({ host: '127.0.0.1', port: Number(address.split(':').at(-1)), noDelay: true });
    await once(socket, 'connect');
    const caller = new FrontCaller(socket);
    socket.write(
      Buffer.concat([clientPreface, frame(SETTINGS, 0, 0), frame(WINDOW_UPDATE, 0, 0, uint32(windowGiven))]),
    );
    return caller;
  }

  get #frames(): readonly ReadFrame[] {
    return this.#splitter.frames;
  }

  /** Writes pieces of bytes, each in a turn of its own, so that most are read apart. */
  async write(pieces: readonly Buffer[]): Promise<void> {
    this.#isInside = true;
    for (const piece of pieces) {
      this.#socket.write(piece);
      await new Promise((resolve) => void setImmediate(resolve));
    }
    this.#isInside = false;
    for (const each of this.#answers.splice(0)) this.#socket.write(each);
  }

  /** Resolves once a call has ended, or its connection has. */
  async heard(streamId: number): Promise<HeardCall> {
    await this.#until(() => this.#isClosed || this.#hasEnded(streamId));
    return this.#soFar(streamId);
  }

  #soFar(streamId: number): HeardCall {
    const own = this.#frames.filter((each) => each.streamId === streamId);
    const reset = own.find(({ type }) => type === RST_STREAM);
    const code = reset && errorNameOf(reset.payload.readUInt32BE(0));
    const isEnded = own.some(({ type, flags }) => type !== RST_STREAM && (flags & END_STREAM) !== 0);
    return {
      lists: own.map((each) => this.#lists.get(each)).filter((list) => list !== undefined),
      body: Buffer.concat(own.filter(({ type }) => type === DATA).map(({ payload }) => payload)).toString('hex'),
      // After its end a stream may be reset, for what its caller has not said yet (RFC 9113 §8.1).
      reset: isEnded ? undefined : (code ?? (this.#isClosed ? 'closed' : undefined)),
    };
  }

  /** Whether the connection still is, once all that was written before has been read. */
  async isAlive(): Promise<boolean> {
    const isAnswer = ({ type, flags }: ReadFrame): boolean => type === PING && (flags & ACK) !== 0;
    const before = this.#frames.filter(isAnswer).length;
    this.#socket.write(frame(PING, 0, 0, 'are you?'));
    await this.#until(() => this.#isClosed || this.#frames.filter(isAnswer).length > before);
    return !this.#isClosed;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!holds()) return;
        this.#changed.delete(look);
        resolve();
      };
      this.#changed.add(look);
      look();
    });
  }

  #hasEnded(streamId: number): boolean {
    return this.#frames.some(
      (each) =>
        each.streamId === streamId &&
        (each.type === RST_STREAM ||
          ((each.type === DATA || each.type === HEADERS) && (each.flags & END_STREAM) !== 0)),
    );
  }

  #take(each: ReadFrame): void {
    if (each.type === HEADERS) {
      const { fields } = this.#decoder.decode(each.payload, 0, each.payload.length);
      this.#lists.set(each, Object.fromEntries(fields.map(({ name, value }) => [name, value])));
    }
    if (each.type === SETTINGS && (each.flags & ACK) === 0) this.#answer(frame(SETTINGS, ACK, 0));
    if (each.type === PING && (each.flags & ACK) === 0) this.#answer(frame(PING, ACK, 0, each.payload));
  }

  #answer(bytes: Buffer): void {
    if (this.#isInside) this.#answers.push(bytes);
    else this.#socket.write(bytes);
  }

  #tell(): void {
    for (const listener of this.#changed) listener();
  }
}
