import fc from 'fast-check';
import { expect, it } from 'vitest';
import { frameFlags, frameTypes } from '../../sidecar/wire/frame.ts';
import { FrameReader } from '../../sidecar/wire/frame-reader.ts';
import { MessageReader } from '../../sidecar/wire/grpc/message-reader.ts';
import { percentDecode, percentEncode } from '../../sidecar/wire/grpc/percent.ts';
import { timeoutFrom, timeoutMsFrom } from '../../sidecar/wire/grpc/timeout.ts';
import { DynamicTable } from '../../sidecar/wire/hpack/dynamic-table.ts';
import { isFieldValue } from '../../sidecar/wire/hpack/field-value.ts';
import { HeaderDecoder } from '../../sidecar/wire/hpack/header-decoder.ts';
import { HeaderEncoder } from '../../sidecar/wire/hpack/header-encoder.ts';
import { HeaderField } from '../../sidecar/wire/hpack/header-field.ts';
import { huffmanDecode } from '../../sidecar/wire/hpack/huffman-decode.ts';
import { huffmanBytes, huffmanEncode } from '../../sidecar/wire/hpack/huffman-encode.ts';
import { EchoAcceptor } from '../support/sidecar-wire/echo-acceptor.ts';
import { frame, plainBlock } from '../support/sidecar-wire/frames.ts';
import { RawPeer, requestFields } from '../support/sidecar-wire/raw-peer.ts';
import type { Stream } from '../../sidecar/wire/stream.ts';
import { StreamsById } from '../../sidecar/wire/streams-by-id.ts';

/** Cuts bytes at places that are given as shares of what is left. */
function cut(bytes: Buffer, shares: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let rest = bytes;
  for (const share of shares) {
    const at = Math.floor(rest.length * share);
    // A copy: a reader must not see what comes after its piece.
    pieces.push(Buffer.from(rest.subarray(0, at)));
    rest = rest.subarray(at);
  }
  return [...pieces, Buffer.from(rest)];
}

const shares = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });
const latin1 = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1'));

it('cuts frames alike wherever reads end', () => {
  const frames = fc.array(
    fc.record({
      type: fc.nat(255),
      flags: fc.nat(255),
      id: fc.nat(0x7fffffff),
      payload: fc.uint8Array({ maxLength: 64 }),
    }),
    { maxLength: 8 },
  );
  fc.assert(
    fc.property(frames, shares, (given, where) => {
      const seen: unknown[] = [];
      const reader = new FrameReader(
        {
          isOver: false,
          receive: ({ type, flags, streamId, buffer, start, end }) =>
            seen.push({ type, flags, id: streamId, payload: new Uint8Array(buffer.subarray(start, end)) }),
        },
        { frameBytesMax: 16_384, preface: Buffer.from('PREFACE') },
      );
      const bytes = Buffer.concat([
        Buffer.from('PREFACE'),
        ...given.map(({ type, flags, id, payload }) => frame(type, flags, id, payload)),
      ]);
      for (const piece of cut(bytes, where)) reader.read(piece);
      expect(seen).toEqual(given);
      expect(reader.isInside).toBe(false);
    }),
  );
});

it('cuts messages alike wherever frames end', () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 8 });
  fc.assert(
    fc.property(messages, shares, (given, where) => {
      const seen: Uint8Array[] = [];
      const reader = new MessageReader({
        announce: () => true,
        message: (bytes) => void seen.push(new Uint8Array(bytes)),
      });
      const bytes = Buffer.concat(given.flatMap((message) => [prefixOf(message), message]));
      for (const piece of cut(bytes, where)) reader.read(piece, 0, piece.length);
      expect(seen).toEqual(given.map((message) => new Uint8Array(message)));
      expect(reader.isInside).toBe(false);
    }),
  );
});

function prefixOf(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return prefix;
}

it('answers alike however the bytes of a connection are cut', async () => {
  const block = plainBlock(requestFields('/', ['x-long', 'x'.repeat(200)]));
  const bytes = Buffer.concat([
    frame(frameTypes.HEADERS, 0, 1, block.subarray(0, 50)),
    frame(frameTypes.CONTINUATION, frameFlags.END_HEADERS, 1, block.subarray(50)),
    frame(frameTypes.DATA, 0, 1, 'some '),
    frame(frameTypes.DATA, frameFlags.END_STREAM | frameFlags.PADDED, 1, '\u0003body\0\0\0'),
  ]);
  await fc.assert(
    fc.asyncProperty(shares, async (where) => {
      const peer = new RawPeer({ acceptor: new EchoAcceptor() });
      for (const piece of cut(bytes, where)) if (piece.length > 0) peer.send(piece);
      await peer.until(() => peer.bodyOf(1) === 'some body');
      peer.destroy();
    }),
    { numRuns: 50 },
  );
});

it('reads in Huffman code what it wrote, and nothing that is cut short by more than padding', () => {
  fc.assert(
    fc.property(latin1, (text) => {
      const bytes = Buffer.alloc(huffmanBytes(text));
      expect(huffmanEncode(text, bytes, 0)).toBe(bytes.length);
      const target = Buffer.alloc(text.length + 1);
      const length = huffmanDecode(bytes, 0, bytes.length, target);
      expect(target.toString('latin1', 0, length)).toBe(text);
      expect(huffmanDecode(Buffer.concat([bytes, Buffer.from([0xff])]), 0, bytes.length + 1, target)).toBe(-1);
    }),
  );
});

it('decodes what it encoded, block after block, whatever is repeated and however large the table is', () => {
  const repeated = Array.from(
    { length: 6 },
    (_none, index) => new HeaderField(`name-${index}`, 'v'.repeat(index * 40)),
  );
  const field = fc.oneof(
    fc.nat(5).map((index) => repeated[index]!),
    fc.tuple(fc.stringMatching(/^[a-z]{1,20}$/), latin1).map(([name, value]) => new HeaderField(name, value)),
  );
  const step = fc.record({ table: fc.option(fc.nat(300), { freq: 3 }), fields: fc.array(field, { maxLength: 10 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const encoder = new HeaderEncoder({ tableBytesMax: 256, repeated: new Set(repeated) });
      const decoder = new HeaderDecoder({ tableBytesMax: 4_096, listBytesMax: 1_000_000 });
      // The decoder's table follows what the encoder announces only: begin with the same.
      encoder.allowTable(128);
      for (const { table, fields } of steps) {
        if (table !== null) encoder.allowTable(table);
        const block = Buffer.from(encoder.encode(fields));
        const read = decoder.decode(block, 0, block.length).fields.map(({ name, value }) => [name, value]);
        expect(read).toEqual(fields.map(({ name, value }) => [name, value]));
      }
    }),
  );
});

it('keeps a dynamic table like a list that forgets its end', () => {
  const action = fc.oneof(
    fc.record({ kind: fc.constant('add' as const), bytes: fc.nat(100) }),
    fc.record({ kind: fc.constant('resize' as const), bytes: fc.nat(400) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const table = new DynamicTable(300);
      let model: HeaderField[] = [];
      let bytesMax = 300;
      for (const [index, { kind, bytes }] of actions.entries()) {
        const field = new HeaderField(String(index), 'x'.repeat(bytes));
        if (kind === 'add') table.add(field);
        else table.resize(bytes);
        if (kind === 'add') model = field.bytes > bytesMax ? [] : [field, ...model];
        else bytesMax = bytes;
        while (model.reduce((total, each) => total + each.bytes, 0) > bytesMax) model.pop();
        expect(Array.from({ length: table.count }, (_none, at) => table.at(at + 1))).toEqual(model);
        expect(table.at(model.length + 1)).toBeUndefined();
      }
    }),
  );
});

it('writes a grpc-timeout that is no shorter than asked for, and no longer by more than its digits make it', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), (timeoutMs) => {
      const text = timeoutFrom(timeoutMs);
      expect(text).toMatch(/^\d{1,8}[HMSmun]$/);
      const read = timeoutMsFrom(text) ?? Number.NaN;
      expect(read).toBeGreaterThanOrEqual(timeoutMs * (1 - 1e-12));
      expect(read - timeoutMs).toBeLessThanOrEqual(Math.max(1e-6, timeoutMs * 6e-5));
    }),
  );
});

it('carries any text as a grpc-message', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const encoded = percentEncode(text);
      // RFC 9113 §8.2.1: no space at either end.
      expect(encoded).toMatch(/^$|^[!-~]([ -~]*[!-~])?$/);
      expect(percentDecode(encoded)).toBe(text);
    }),
  );
});

it('takes for the value of a field what the pattern of RFC 9113 does', () => {
  // oxlint-disable-next-line no-control-regex -- these are the characters that it is about.
  const bad = /[\0-\u0008\u000A-\u001F\u007F]|^[ \t]|[ \t]$/;
  const often = fc.constantFrom(0x00, 0x09, 0x0a, 0x0d, 0x1f, 0x20, 0x41, 0x7f, 0x80, 0xff);
  fc.assert(
    fc.property(fc.array(fc.oneof(often, fc.nat(255)), { maxLength: 6 }), fc.nat(3), (bytes, before) => {
      const buffer = Buffer.from([...Buffer.alloc(before), ...bytes, 0]);
      const value = buffer.toString('latin1', before, before + bytes.length);
      expect(isFieldValue(buffer, before, before + bytes.length)).toBe(!bad.test(value));
    }),
  );
});

it('finds the streams that a map would, in its order', () => {
  const opened = { kind: fc.constant('open' as const), index: fc.nat(9) };
  const step = fc.oneof(fc.record(opened), fc.record({ ...opened, kind: fc.constant('end' as const) }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const streams = new StreamsById();
      const model = new Map<number, Stream>();
      let nextId = 1;
      for (const { kind, index } of steps) {
        const ended = kind === 'end' ? [...model.values()].at(index % Math.max(1, model.size)) : undefined;
        if (kind === 'open') {
          // Nothing of a stream but its id is asked for.
          const stream = { id: nextId } as Stream;
          nextId += 2;
          streams.add(stream);
          model.set(stream.id, stream);
        } else if (ended !== undefined) {
          streams.delete(ended);
          model.delete(ended.id);
        }
        expect(streams.size).toBe(model.size);
        expect(streams.all()).toEqual([...model.values()]);
        for (let id = 1; id < nextId; id += 2) expect(streams.get(id)).toBe(model.get(id));
      }
    }),
  );
});
