import { createConnection, type Socket } from 'node:net';
import { clientPreface, frameFlags, frameHeaderBytes, frameTypes, writeUint32 } from '../../../sidecar/wire/frame.ts';
import { grpcRequestFields, requestFields } from '../../../sidecar/wire/grpc/fields.ts';
import { HeaderEncoder } from '../../../sidecar/wire/hpack/header-encoder.ts';
import { HeaderField } from '../../../sidecar/wire/hpack/header-field.ts';
import { frame, settingsPayload, uint32 } from '../../support/sidecar-wire/frames.ts';

const { DATA, HEADERS, SETTINGS, WINDOW_UPDATE, PING, GOAWAY, RST_STREAM } = frameTypes;
const { ACK, END_HEADERS, END_STREAM } = frameFlags;
const windowMost = 0x7fffffff;
const initialWindow = 65_535;
const firstId = 1;
/** Given back in pieces of this size. */
const windowPiece = 1 << 29;
/** What is gathered before it is written, if a turn says so much. */
const gatheredBytes = 64 * 1024;

/** Hears what comes, without copies: a generator must cost less than what it measures. */
export interface RawListener {
  data(buffer: Buffer, start: number, end: number): void;
  /** A stream has ended. */
  ended(streamId: number): void;
}

/** A client's connection that does no more than a generator of load needs: no limits, no states. */
export class RawConnection {
  readonly #socket: Socket;
  readonly #listener: RawListener;
  readonly #encoder: HeaderEncoder;
  readonly #first: readonly HeaderField[];
  readonly #gathered = Buffer.allocUnsafeSlow(gatheredBytes);
  #gatheredBytes = 0;
  /** Of the blocks that have been said before, by their fields: after the first, they change nothing of the table. */
  readonly #blocks = new Map<readonly HeaderField[], Buffer>();
  #rest: Buffer = Buffer.alloc(0);
  #isReading = false;
  #nextId = firstId;
  #dataBytes = 0;

  constructor(address: string, path: string, listener: RawListener) {
    const [host = '', port = ''] = address.split(':');
    this.#listener = listener;
    this.#socket = createConnection({ host, port: Number(port), noDelay: true });
    this.#first = [
      ...requestFields(false),
      new HeaderField(':path', path),
      new HeaderField(':authority', address),
      ...grpcRequestFields,
    ];
    this.#encoder = new HeaderEncoder({ tableBytesMax: 4_096, repeated: new Set(this.#first) });
    this.#send(clientPreface, frame(SETTINGS, 0, 0, settingsPayload([4, windowMost])));
    this.#send(frame(WINDOW_UPDATE, 0, 0, uint32(windowMost - initialWindow)));
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#socket.on('close', () => {
      throw new Error('the server closed a connection under load');
    });
  }

  /** Opens a stream; its id. Fields that are the same array again cost no encoding. */
  open(fields: readonly HeaderField[]): number {
    const id = this.#nextId;
    this.#nextId += 2;
    this.#frame(HEADERS, END_HEADERS, id, this.#blockOf(fields));
    return id;
  }

  #blockOf(fields: readonly HeaderField[]): Buffer {
    const known = this.#blocks.get(fields);
    if (known !== undefined) return known;
    const block = Buffer.from(this.#encoder.encode([...this.#first, ...fields]));
    if (this.#nextId > firstId + 2) this.#blocks.set(fields, block);
    return block;
  }

  data(streamId: number, framed: Buffer, isLast: boolean): void {
    this.#frame(DATA, isLast ? END_STREAM : 0, streamId, framed);
  }

  #frame(type: number, flags: number, streamId: number, payload: Buffer): void {
    const at = this.#reserve(frameHeaderBytes + payload.length);
    const buffer = this.#gathered;
    // The type comes after three bytes of length.
    writeUint32(buffer, at, (payload.length << 8) | type);
    buffer[at + 4] = flags;
    writeUint32(buffer, at + 5, streamId);
    buffer.set(payload, at + frameHeaderBytes);
  }

  #send(...pieces: readonly Buffer[]): void {
    for (const piece of pieces) this.#gathered.set(piece, this.#reserve(piece.length));
  }

  /** Room in what is gathered until the end of what is being read. */
  #reserve(bytes: number): number {
    if (this.#gatheredBytes + bytes > gatheredBytes) this.#flush();
    if (this.#gatheredBytes === 0 && !this.#isReading) setImmediate(() => this.#flush());
    this.#gatheredBytes += bytes;
    return this.#gatheredBytes - bytes;
  }

  #flush(): void {
    if (this.#gatheredBytes > 0) this.#socket.write(Buffer.from(this.#gathered.subarray(0, this.#gatheredBytes)));
    this.#gatheredBytes = 0;
  }

  #read(chunk: Buffer): void {
    this.#isReading = true;
    const buffer = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (buffer.length - at >= frameHeaderBytes) {
      const start = at + frameHeaderBytes;
      const end = start + buffer.readUIntBE(at, 3);
      if (end > buffer.length) break;
      this.#take(buffer, at, end);
      at = end;
    }
    this.#rest = buffer.subarray(at);
    this.#isReading = false;
    this.#flush();
  }

  #take(buffer: Buffer, at: number, end: number): void {
    const type = buffer[at + 3];
    const flags = buffer[at + 4] ?? 0;
    const id = buffer.readUInt32BE(at + 5);
    const start = at + frameHeaderBytes;
    if (type === DATA) {
      this.#count(end - start, id);
      this.#listener.data(buffer, start, end);
    }
    if ((type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0) this.#listener.ended(id);
    else if (type === SETTINGS && (flags & ACK) === 0) this.#send(frame(SETTINGS, ACK, 0));
    else if (type === PING && (flags & ACK) === 0) this.#send(frame(PING, ACK, 0, buffer.subarray(start, end)));
    else if (type === GOAWAY || (type === RST_STREAM && buffer.readUInt32BE(start) !== 0))
      throw new Error(`the server refused what it was sent: ${buffer.toString('latin1', start, end)}`);
  }

  /** Gives windows back; of streams, those that are long. */
  #count(bytes: number, id: number): void {
    this.#dataBytes += bytes;
    if (this.#dataBytes < windowPiece) return;
    this.#send(
      frame(WINDOW_UPDATE, 0, 0, uint32(this.#dataBytes)),
      frame(WINDOW_UPDATE, 0, id, uint32(this.#dataBytes)),
    );
    this.#dataBytes = 0;
  }
}
