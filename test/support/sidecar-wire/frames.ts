import { frameHeaderBytes } from '../../../sidecar/wire/frame.ts';

/** A frame as a test reads it. */
export type ReadFrame = {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
};

/** A frame from its parts; `length` lies about the payload. */
export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array | string = '',
  length?: number,
): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : Buffer.from(payload);
  const head = Buffer.alloc(frameHeaderBytes);
  head.writeUIntBE(length ?? bytes.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId >>> 0, 5);
  return Buffer.concat([head, bytes]);
}

export function uint32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, index * 4);
  return bytes;
}

/** The payload of SETTINGS, from pairs of identifier and value. */
export function settingsPayload(...settings: readonly (readonly [identifier: number, value: number])[]): Buffer {
  return Buffer.concat(
    settings.map(([identifier, value]) => {
      const bytes = Buffer.alloc(6);
      bytes.writeUInt16BE(identifier);
      bytes.writeUInt32BE(value >>> 0, 2);
      return bytes;
    }),
  );
}

/** A header block without any compression, written by other code than ours: literals that are not indexed (RFC 7541 §6.2.2). */
export function plainBlock(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), plainString(name), plainString(value)]));
}

function plainString(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const rest = bytes.length - 127;
  const length: number[] = [127];
  let left = rest;
  for (; left >= 128; left = Math.floor(left / 128)) length.push((left % 128) + 128);
  length.push(left);
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** Cuts a stream of bytes into frames. */
export class FrameSplitter {
  readonly frames: ReadFrame[] = [];
  #rest = Buffer.alloc(0);

  /** Of a frame that has not ended. */
  get restBytes(): number {
    return this.#rest.length;
  }

  push(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= frameHeaderBytes) {
      const end = frameHeaderBytes + this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < end) return;
      this.frames.push({
        type: this.#rest[3]!,
        flags: this.#rest[4]!,
        streamId: this.#rest.readUInt32BE(5) & 0x7fffffff,
        payload: Buffer.from(this.#rest.subarray(frameHeaderBytes, end)),
      });
      this.#rest = this.#rest.subarray(end);
    }
  }
}
