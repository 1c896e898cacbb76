import { connect, type Socket } from 'node:net';

/** What a frame of HTTP/2 is, as far as this bench reads it (RFC 9113, section 4.1). */
const frameHeaderBytes = 9;
const frameType = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
const flag = { ack: 1, endStream: 1, endHeaders: 4 } as const;
const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
/** So much that no benchmark uses it up: a client that need not say that it has read costs the machine less. */
const windowBytes = 2 ** 31 - 1;

export type ConnectionOptions = {
  readonly host: string;
  readonly port: number;
  /** Part of the body of a stream. */
  readonly onData: (stream: number, bytes: Buffer) => void;
  /** A stream ended, or the connection did. */
  readonly onEnd: (what: string) => void;
};

/**
 * The client side of HTTP/2, just enough to hold thousands of gRPC streams and to count what comes in: node:http2 takes as
 * long for a message as the server under test does, and they share a machine. Not for anything but a bench.
 */
export class BenchConnection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  #rest: Buffer = Buffer.alloc(0);
  #nextStream = 1;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#socket = connect(options.port, options.host);
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (bytes) => this.#read(bytes));
    this.#socket.on('close', () => options.onEnd('the connection was closed'));
    this.#socket.on('error', () => {});
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(4, 0); // SETTINGS_INITIAL_WINDOW_SIZE
    settings.writeUInt32BE(windowBytes, 2);
    const update = Buffer.alloc(4);
    update.writeUInt32BE(windowBytes - 65_535);
    this.#socket.write(preface);
    this.#send(frameType.settings, 0, 0, settings);
    this.#send(frameType.windowUpdate, 0, 0, update);
  }

  /** Calls a method with one message; answers with the number of the stream. */
  call(path: string, message: Uint8Array): number {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    const headers = [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', path],
      [':authority', 'bench'],
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
    ].map(([name = '', value = '']) => literalHeader(name, value));
    this.#send(frameType.headers, flag.endHeaders, stream, Buffer.concat(headers));
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    this.#send(frameType.data, flag.endStream, stream, Buffer.concat([prefix, message]));
    return stream;
  }

  close(): void {
    this.#socket.destroy();
  }

  #send(type: number, flags: number, stream: number, payload: Uint8Array): void {
    const header = Buffer.alloc(frameHeaderBytes);
    header.writeUIntBE(payload.length, 0, 3);
    header[3] = type;
    header[4] = flags;
    header.writeUInt32BE(stream, 5);
    this.#socket.write(Buffer.concat([header, payload]));
  }

  #read(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (all.length - at >= frameHeaderBytes) {
      const length = all.readUIntBE(at, 3);
      const end = at + frameHeaderBytes + length;
      if (end > all.length) break;
      this.#frame(all.readUInt8(at + 3), all.readUInt8(at + 4), {
        stream: all.readUInt32BE(at + 5) & 0x7fff_ffff,
        payload: all.subarray(at + frameHeaderBytes, end),
      });
      at = end;
    }
    this.#rest = all.subarray(at);
  }

  #frame(type: number, flags: number, { stream, payload }: { stream: number; payload: Buffer }): void {
    if (type === frameType.data) this.#options.onData(stream, payload);
    else if (type === frameType.settings && (flags & flag.ack) === 0)
      this.#send(frameType.settings, flag.ack, 0, Buffer.alloc(0));
    else if (type === frameType.ping && (flags & flag.ack) === 0) this.#send(frameType.ping, flag.ack, 0, payload);
    else if (type === frameType.reset || type === frameType.goAway) this.#options.onEnd(`frame type ${type}`);
    if ((type === frameType.data || type === frameType.headers) && (flags & flag.endStream) !== 0)
      this.#options.onEnd(`stream ${stream} was ended`);
  }
}

/** A header field without indexing and without Huffman (RFC 7541, section 6.2.2). */
function literalHeader(name: string, value: string): Buffer {
  return Buffer.from([0, name.length, ...Buffer.from(name), value.length, ...Buffer.from(value)]);
}
