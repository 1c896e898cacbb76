import { frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import { huffmanBytes, huffmanEncode } from '../../../sidecar/wire/hpack/huffman-encode.ts';
import { answered, type Case, open, runCases, whole } from '../../support/sidecar-wire/conformance.ts';
import { frame, plainBlock, settingsPayload, uint32 } from '../../support/sidecar-wire/frames.ts';
import { requestFields } from '../../support/sidecar-wire/raw-peer.ts';

const { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION } = frameTypes;
const { END_HEADERS, END_STREAM, PADDED, PRIORITY: HAS_PRIORITY } = frameFlags;

const block = plainBlock(requestFields());
const priority = (dependency: number, weight: number): Buffer =>
  Buffer.concat([uint32(dependency), Buffer.from([weight - 1])]);

const frames: readonly Case[] = [
  { name: '1 a connection preface', act: () => {}, outcome: answered() },
  {
    name: '2 PRIORITY on an idle stream',
    act: (peer) => peer.send(frame(PRIORITY, 0, 1, priority(0, 256)), whole()),
    outcome: answered(1),
  },
  {
    name: '2 WINDOW_UPDATE on a half-closed (remote) stream',
    act: (peer) => peer.send(whole(), frame(WINDOW_UPDATE, 0, 1, uint32(1))),
    outcome: answered(1),
  },
  {
    name: '2 PRIORITY on a half-closed (remote) stream',
    act: (peer) => peer.send(whole(), frame(PRIORITY, 0, 1, priority(0, 256))),
    outcome: answered(1),
  },
  {
    name: '2 RST_STREAM on a half-closed (remote) stream',
    act: (peer) => peer.send(whole(1, '/wait'), frame(RST_STREAM, 0, 1, uint32(8))),
    outcome: answered(),
  },
  {
    name: '2 PRIORITY on a closed stream',
    act: async (peer) => {
      peer.send(whole());
      await peer.until(() => peer.bodyOf(1) === 'answer');
      peer.send(frame(PRIORITY, 0, 1, priority(0, 256)), whole(3));
    },
    outcome: answered(1, 3),
  },
  { name: '3.1 DATA', act: (peer) => peer.send(open(), frame(DATA, END_STREAM, 1, 'test')), outcome: answered(1) },
  {
    name: '3.1 many DATA',
    act: (peer) => peer.send(open(), frame(DATA, 0, 1, 'te'), frame(DATA, END_STREAM, 1, 'st')),
    outcome: answered(1),
  },
  {
    name: '3.1 DATA with padding',
    act: (peer) => peer.send(open(), frame(DATA, END_STREAM | PADDED, 1, '\u0006test\0\0\0\0\0\0')),
    outcome: answered(1),
  },
  { name: '3.2 HEADERS', act: (peer) => peer.send(whole()), outcome: answered(1) },
  {
    name: '3.2 HEADERS with padding',
    act: (peer) =>
      peer.send(
        frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, Buffer.concat([Buffer.from([6]), block, Buffer.alloc(6)])),
      ),
    outcome: answered(1),
  },
  {
    name: '3.2 HEADERS with priority',
    act: (peer) =>
      peer.send(frame(HEADERS, END_HEADERS | END_STREAM | HAS_PRIORITY, 1, Buffer.concat([priority(0, 256), block]))),
    outcome: answered(1),
  },
  {
    name: '3.3 PRIORITY with priority 1',
    act: (peer) => peer.send(frame(PRIORITY, 0, 1, priority(0, 1)), whole()),
    outcome: answered(1),
  },
  {
    name: '3.3 PRIORITY with priority 256',
    act: (peer) => peer.send(frame(PRIORITY, 0, 1, priority(0, 256)), whole()),
    outcome: answered(1),
  },
  {
    name: '3.3 PRIORITY with a dependency',
    act: (peer) => peer.send(frame(PRIORITY, 0, 1, priority(0, 256)), frame(PRIORITY, 0, 3, priority(1, 256)), whole()),
    outcome: answered(1),
  },
  {
    name: '3.3 PRIORITY, exclusive',
    act: (peer) => peer.send(frame(PRIORITY, 0, 1, priority(0x80000000, 16)), whole()),
    outcome: answered(1),
  },
  {
    name: '3.3 PRIORITY on an idle stream, then HEADERS of a lower one',
    act: (peer) => peer.send(frame(PRIORITY, 0, 3, priority(0, 256)), whole(1)),
    outcome: answered(1),
  },
  { name: '3.4 RST_STREAM', act: (peer) => peer.send(open(), frame(RST_STREAM, 0, 1, uint32(8))), outcome: answered() },
  {
    name: '3.5 SETTINGS',
    act: (peer) => peer.send(frame(SETTINGS, 0, 0, settingsPayload([3, 100]))),
    outcome: answered(),
  },
  { name: '3.7 PING', act: (peer) => peer.send(frame(PING, 0, 0, '12345678')), outcome: answered() },
  { name: '3.8 GOAWAY', act: (peer) => peer.send(frame(GOAWAY, 0, 0, uint32(0, 0))), outcome: answered() },
  {
    name: '3.9 WINDOW_UPDATE on stream 0',
    act: (peer) => peer.send(frame(WINDOW_UPDATE, 0, 0, uint32(1))),
    outcome: answered(),
  },
  {
    name: '3.9 WINDOW_UPDATE on stream 1',
    act: (peer) => peer.send(open(), frame(WINDOW_UPDATE, 0, 1, uint32(1)), frame(DATA, END_STREAM, 1)),
    outcome: answered(1),
  },
  { name: '3.10 CONTINUATION', act: (peer) => peer.send(inFrames(2)), outcome: answered(1) },
  { name: '3.10 many CONTINUATION', act: (peer) => peer.send(inFrames(5)), outcome: answered(1) },
  { name: '4 a GET request', act: (peer) => peer.send(withMethod('GET')), outcome: answered(1) },
  { name: '4 a HEAD request', act: (peer) => peer.send(withMethod('HEAD')), outcome: answered(1) },
  {
    name: '4 a POST request',
    act: (peer) => peer.send(open(), frame(DATA, END_STREAM, 1, 'test')),
    outcome: answered(1),
  },
  {
    name: '4 a POST request with trailers',
    act: (peer) =>
      peer.send(
        open(),
        frame(DATA, 0, 1, 'test'),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, plainBlock([['x-test', 'ok']])),
      ),
    outcome: answered(1),
  },
];

function inFrames(count: number): Buffer {
  const size = Math.ceil(block.length / count);
  const parts = Array.from({ length: count }, (_none, index) => block.subarray(index * size, (index + 1) * size));
  return Buffer.concat(
    parts.map((part, index) =>
      frame(
        index === 0 ? HEADERS : CONTINUATION,
        (index === 0 ? END_STREAM : 0) | (index === count - 1 ? END_HEADERS : 0),
        1,
        part,
      ),
    ),
  );
}

function withMethod(method: string): Buffer {
  const fields = requestFields().map(([name, value]) => [name, name === ':method' ? method : value] as const);
  return frame(HEADERS, END_HEADERS | END_STREAM, 1, plainBlock(fields));
}

/** A request whose block has one more representation at its end, or its beginning. */
function withField(field: Buffer, isFirst = false): (peer: { send(bytes: Buffer): void }) => void {
  return (peer) =>
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, Buffer.concat(isFirst ? [field, block] : [block, field])));
}

function text(value: string, isHuffman: boolean): Buffer {
  if (!isHuffman) return Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  const bytes = Buffer.alloc(huffmanBytes(value));
  huffmanEncode(value, bytes, 0);
  return Buffer.concat([Buffer.from([0x80 | bytes.length]), bytes]);
}

const literals = (
  [
    ['with incremental indexing', 0x40, 58],
    ['without indexing', 0x00, 15],
    ['never indexed', 0x10, 15],
  ] as const
).flatMap(([kind, flags]): Case[] =>
  [false, true].flatMap((isHuffman): Case[] => [
    {
      name: `5 a literal ${kind}, indexed name${isHuffman ? ', Huffman' : ''}`,
      // accept, of the static table, has index 19: more than a prefix of four bits holds.
      act: withField(
        Buffer.concat([
          flags === 0x40 ? Buffer.from([flags | 19]) : Buffer.from([flags | 15, 4]),
          text('test', isHuffman),
        ]),
      ),
      outcome: answered(1),
    },
    {
      name: `5 a literal ${kind}, new name${isHuffman ? ', Huffman' : ''}`,
      act: withField(Buffer.concat([Buffer.from([flags]), text('x-test', isHuffman), text('test', isHuffman)])),
      outcome: answered(1),
    },
  ]),
);

runCases([
  ...frames,
  { name: '5 an indexed field', act: withField(Buffer.from([0x80 | 16])), outcome: answered(1) },
  ...literals,
  { name: '5 a dynamic table size update', act: withField(Buffer.from([0x21]), true), outcome: answered(1) },
  {
    name: '5 many dynamic table size updates',
    act: withField(Buffer.from([0x20, 0x3f, 0xe1, 0x1f]), true),
    outcome: answered(1),
  },
]);
