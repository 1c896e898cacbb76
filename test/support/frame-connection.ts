import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { clientPreface, frameFlags, frameTypes } from '../../sidecar/wire/frame.ts';
import { HeaderDecoder } from '../../sidecar/wire/hpack/header-decoder.ts';
import { ErrorInfo, Status } from '../../src/gen/google/rpc/status.ts';
import { frameOf } from '../../src/platform/grpc/frame.ts';
import { frame, FrameSplitter, plainBlock, type ReadFrame } from './sidecar-wire/frames.ts';

/** One connection to a server, frame by frame, in the order in which they come. */
export class FrameConnection implements Disposable {
  readonly #socket: Socket;
  readonly #splitter = new FrameSplitter();
  readonly #decoder = new HeaderDecoder({ tableBytesMax: 4_096, listBytesMax: 100_000 });
  readonly #headers = new Map<ReadFrame, Record<string, string>>();
  readonly #changed = new Set<() => void>();
  isClosed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      const before = this.frames.length;
      this.#splitter.push(chunk);
      for (const each of this.frames.slice(before)) this.#take(each);
      for (const listener of this.#changed) listener();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isClosed = true;
      for (const listener of this.#changed) listener();
    });
  }

  static async open(address: string): Promise<FrameConnection> {
    const socket = createConnection({ host: '127.0.0.1', port: Number(address.split(':').at(-1)) });
    await once(socket, 'connect');
    const connection = new FrameConnection(socket);
    connection.#send(clientPreface, frame(frameTypes.SETTINGS, 0, 0));
    return connection;
  }

  get frames(): readonly ReadFrame[] {
    return this.#splitter.frames;
  }

  #take(each: ReadFrame): void {
    // Blocks share a table, so each is decoded once, in its turn.
    if (each.type === frameTypes.HEADERS) {
      const { fields } = this.#decoder.decode(each.payload, 0, each.payload.length);
      this.#headers.set(each, Object.fromEntries(fields.map(({ name, value }) => [name, value])));
    }
    const isAsked = each.type === frameTypes.PING && (each.flags & frameFlags.ACK) === 0;
    if (isAsked) this.#send(frame(frameTypes.PING, frameFlags.ACK, 0, each.payload));
  }

  /** Begins a call, with its first messages; `isLast`: it has no more. */
  call(
    streamId: number,
    path: string,
    { messages, isLast }: { messages: readonly Uint8Array[]; isLast: boolean },
  ): void {
    const fields = [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', path],
      [':authority', 'localhost'],
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
    ] as const;
    this.#send(frame(frameTypes.HEADERS, frameFlags.END_HEADERS, streamId, plainBlock(fields)));
    this.say(streamId, messages, isLast);
  }

  say(streamId: number, messages: readonly Uint8Array[], isLast: boolean): void {
    const body = Buffer.concat(messages.map((each) => frameOf(each)));
    this.#send(frame(frameTypes.DATA, isLast ? frameFlags.END_STREAM : 0, streamId, body));
  }

  /** The messages that a call got so far. */
  messagesOf(streamId: number): readonly Buffer[] {
    const isData = (each: ReadFrame): boolean => each.type === frameTypes.DATA && each.streamId === streamId;
    const body = Buffer.concat(this.frames.filter(isData).map(({ payload }) => payload));
    const messages: Buffer[] = [];
    for (let at = 0; at + 5 <= body.length;) {
      const end = at + 5 + body.readUInt32BE(at + 1);
      if (end <= body.length) messages.push(body.subarray(at + 5, end));
      at = end;
    }
    return messages;
  }

  /** How a call ended; undefined: not yet. */
  endOf(streamId: number): { readonly code: number; readonly reason: string | undefined } | undefined {
    for (const [{ streamId: id }, fields] of this.#headers) {
      if (id !== streamId || fields['grpc-status'] === undefined) continue;
      const details = Buffer.from(fields['grpc-status-details-bin'] ?? '', 'base64');
      const info = Status.decode(details).details.find(({ typeUrl }) => typeUrl.endsWith('ErrorInfo'));
      return { code: Number(fields['grpc-status']), reason: info && ErrorInfo.decode(info.value).reason };
    }
    return undefined;
  }

  /** The last stream that each GOAWAY so far says will be answered. */
  get goAways(): readonly number[] {
    return this.frames.filter(({ type }) => type === frameTypes.GOAWAY).map(({ payload }) => payload.readUInt32BE(0));
  }

  /** Resolves once something holds; fails when the connection closes without it. */
  async until(holds: () => boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (holds()) resolve();
        else if (this.isClosed) reject(new Error('the connection is closed'));
        else return;
        this.#changed.delete(look);
      };
      this.#changed.add(look);
      look();
    });
  }

  #send(...parts: readonly Uint8Array[]): void {
    this.#socket.write(Buffer.concat(parts));
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
