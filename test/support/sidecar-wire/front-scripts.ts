import fc from 'fast-check';
import { frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import { frame, plainBlock, uint32 } from './frames.ts';
import { messageOf, type Pair, pseudoOf } from './spoken-calls.ts';
import type { Script } from './two-fronts.ts';

const { DATA, HEADERS, CONTINUATION, PRIORITY, RST_STREAM } = frameTypes;
const { END_HEADERS, END_STREAM, PADDED } = frameFlags;
const unknownType = 0xbe;

type Call = {
  readonly method: string;
  readonly isPassedOn: boolean;
  readonly type: string | null;
  readonly isSayingTe: boolean;
  readonly fields: readonly Pair[];
  readonly timeout: string | undefined;
  readonly messages: readonly Buffer[];
  readonly framing: Framing;
};

/** How the bytes of a call become frames. */
type Framing = {
  /** Sizes of the parts of the header block and of the body, used in turns. */
  readonly blockSizes: readonly number[];
  readonly dataSizes: readonly number[];
  /** Padding of its frames; undefined: none. */
  readonly padding: number | undefined;
  readonly end: 'last_data' | 'empty_data' | 'trailers';
  /** Frames that mean nothing, between the others. */
  readonly noise: 'none' | 'priority' | 'unknown';
  /** After so many of its frames the caller gives the call up. */
  readonly framesBeforeCancel: number | undefined;
};

export type DrawnScript = {
  readonly calls: readonly Call[];
  readonly turns: readonly number[];
  readonly pieceBytes: number;
};

const nameIndex = fc.integer({ min: 0, max: 5 });
const text = fc.stringMatching(/^[!-~]([ -~]{0,30}[!-~])?$/);
const bytes = fc.uint8Array({ minLength: 1, maxLength: 12 }).map((value) => Buffer.from(value).toString('base64'));
const binary = fc
  .array(fc.tuple(bytes, fc.boolean()), { minLength: 1, maxLength: 3 })
  .chain((parts) =>
    fc
      .constantFrom(',', ', ')
      .map((comma) => parts.map(([part, padded]) => (padded ? part : part.replaceAll('=', ''))).join(comma)),
  );
const field: fc.Arbitrary<Pair> = fc.oneof(
  fc.tuple(nameIndex, text).map(([index, value]): Pair => [`x-text.${index}_`, value]),
  fc.tuple(nameIndex, binary).map(([index, value]): Pair => [`x-bytes-${index}-bin`, value]),
  fc.constantFrom<Pair>(
    ['x-empty', ''],
    ['x-latin', 'h\u00E4'],
    ['x!odd', '1'],
    ['user-agent', 'somebody/1.0'],
    ['cookie', 'a=1; b=2'],
    ['grpc-encoding', 'identity'],
    ['grpc-encoding', 'gzip'],
    ['grpc-accept-encoding', 'identity,gzip'],
    ['accept-encoding', 'gzip'],
    ['x-correlation-id', 'the-id'],
    ['x-correlation-id', 'i'.repeat(128)],
    ['x-correlation-id', 'i'.repeat(129)],
  ),
);
/** Each name once: `node:http2` joins them. */
const fields = fc.uniqueArray(field, { selector: ([name]) => name, maxLength: 6 });

const type = fc.oneof(
  { weight: 12, arbitrary: fc.constant('application/grpc') },
  {
    weight: 4,
    arbitrary: fc.constantFrom('application/grpc+proto', 'application/grpc+json', 'application/grpc;charset=utf-8'),
  },
  { weight: 1, arbitrary: fc.constantFrom(null, '', 'application/json', 'text/html; application/grpc') },
);

const content = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 40 }).map((value) => Buffer.from(value)) },
  { weight: 1, arbitrary: fc.integer({ min: 1_000, max: 3_000 }).map((size) => Buffer.alloc(size, 0x61)) },
  { weight: 2, arbitrary: fc.constantFrom('refuse', 'fault', 'slow', 'refuse slow').map((word) => Buffer.from(word)) },
);
/** How often, and whether it fails then. */
const repetition = fc
  .tuple(fc.integer({ min: 0, max: 20 }), fc.boolean())
  .map(([count, fails]) => Buffer.from(fails ? [count, 1] : [count]));
const one = (message: fc.Arbitrary<Buffer>): fc.Arbitrary<readonly Buffer[]> =>
  fc.oneof(
    { weight: 10, arbitrary: message.map((only) => [only]) },
    { weight: 1, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.tuple(message, message) },
  );
/** More than any call of the test takes. */
const enough = fc.constantFrom(undefined, '596H', '35791M', '1M', '99999S', '99999999m', '99999999u');
const tooLittle = fc.constantFrom('0H', '0S', '0n', '1n', '99u', '1m', '3m', '00000002m');

const asked = fc.oneof(
  fc.record({ method: fc.constantFrom('Echo', 'Instant', 'Tell', 'None'), messages: one(content), timeout: enough }),
  fc.record({ method: fc.constant('Repeat'), messages: one(repetition), timeout: enough }),
  fc.record({
    method: fc.constantFrom('Each', 'EachInstant'),
    messages: fc.array(content, { maxLength: 3 }),
    timeout: enough,
  }),
  fc.record({ method: fc.constant('Wait'), messages: content.map((only) => [only]), timeout: tooLittle }),
);

const sizes = (max: number): fc.Arbitrary<readonly number[]> =>
  fc.oneof(
    fc.constant([100_000]),
    // A size of 0 is a frame without bytes; not only of those.
    fc.array(fc.nat(max), { maxLength: 4 }).map((some) => [...some, max]),
  );
const framing: fc.Arbitrary<Framing> = fc.record({
  // nghttp2 takes eight CONTINUATION frames.
  blockSizes: fc.constantFrom([100_000], [200], [1, 0, 100_000]),
  dataSizes: sizes(20),
  padding: fc.option(fc.nat(20), { freq: 4, nil: undefined }),
  end: fc.constantFrom('last_data', 'last_data', 'empty_data', 'trailers'),
  noise: fc.constantFrom('none', 'none', 'priority', 'unknown'),
  framesBeforeCancel: fc.option(fc.integer({ min: 1, max: 6 }), { freq: 8, nil: undefined }),
});

const call: fc.Arbitrary<Call> = fc
  .tuple(asked, fc.record({ isPassedOn: fc.boolean(), type, isSayingTe: fc.boolean(), fields, framing }))
  .map(([what, how]) => ({ ...what, ...how }));
/** Several calls of one connection, odd but legal, of what both fronts serve. Where the two differ and mean to, nothing is drawn. */
export const frontScript: fc.Arbitrary<DrawnScript> = fc.record({
  calls: fc.array(call, { minLength: 1, maxLength: 6 }),
  /** Whose frame comes next. */
  turns: fc.array(fc.nat(5), { maxLength: 60 }),
  pieceBytes: fc.constantFrom(7, 50, 1_000, 100_000),
});

/** Parts of the sizes that are given, used in turns; the last is what is left. */
function cut(whole: Buffer, partSizes: readonly number[]): Buffer[] {
  const parts: Buffer[] = [];
  let at = 0;
  while (at < whole.length) {
    const size = partSizes[parts.length % partSizes.length] ?? whole.length;
    parts.push(whole.subarray(at, at + size));
    at += size;
  }
  return parts.length === 0 ? [whole] : parts;
}

/** What goes out together: no other frame may come into a header block. */
type Unit = (streamId: number) => Buffer;

function padded(payload: Buffer, padding: number | undefined): { flag: number; payload: Buffer } {
  if (padding === undefined) return { flag: 0, payload };
  return { flag: PADDED, payload: Buffer.concat([Buffer.from([padding]), payload, Buffer.alloc(padding)]) };
}

function blockUnit(pairs: readonly Pair[], { blockSizes, padding }: Framing, flags: number): Unit {
  const [first = Buffer.alloc(0), ...rest] = cut(plainBlock(pairs), blockSizes);
  const { flag, payload } = padded(first, padding);
  return (id) =>
    Buffer.concat([
      frame(HEADERS, flags | flag | (rest.length === 0 ? END_HEADERS : 0), id, payload),
      ...rest.map((part, index) => frame(CONTINUATION, index === rest.length - 1 ? END_HEADERS : 0, id, part)),
    ]);
}

function unitsOf({ method, isPassedOn, type: given, isSayingTe, fields: more, timeout, ...rest }: Call): Unit[] {
  const { messages, framing: how } = rest;
  const pairs: Pair[] = [
    ...pseudoOf(`/test.${isPassedOn ? 'Passed' : 'Front'}/${method}`),
    ...(given === null ? [] : [['content-type', given] as const]),
    ...(isSayingTe ? [['te', 'trailers'] as const] : []),
    ...(timeout === undefined ? [] : [['grpc-timeout', timeout] as const]),
    ...more,
  ];
  const units: Unit[] = [blockUnit(pairs, how, 0)];
  const parts = cut(Buffer.concat(messages.map((each) => messageOf(each))), how.dataSizes);
  for (const [index, part] of parts.entries()) {
    const isLast = how.end === 'last_data' && index === parts.length - 1;
    const { flag, payload } = padded(part, how.padding);
    units.push((id) => frame(DATA, flag | (isLast ? END_STREAM : 0), id, payload));
    if (how.noise === 'priority') units.push((id) => frame(PRIORITY, 0, id, Buffer.from([0, 0, 0, 0, 16])));
    if (how.noise === 'unknown') units.push((id) => frame(unknownType, 0xff, id, 'anything'));
  }
  if (how.end === 'empty_data') units.push((id) => frame(DATA, END_STREAM, id));
  if (how.end === 'trailers') units.push(blockUnit([['x-trailer', 'some']], how, END_STREAM));
  if (how.framesBeforeCancel === undefined) return units;
  return [...units.slice(0, how.framesBeforeCancel), (id) => frame(RST_STREAM, 0, id, uint32(8))];
}

/** The frames of all calls, between each other: each call's in their order, and streams opened in theirs. */
export function scriptOf({ calls, turns, pieceBytes }: DrawnScript): Script {
  const left = calls.map((each) => ({
    isHeard: each.framing.framesBeforeCancel === undefined,
    id: 0,
    units: unitsOf(each),
  }));
  const frames: Buffer[] = [];
  const streamIds: number[] = [];
  let nextId = 1;
  for (let turn = 0; left.length > 0; turn++) {
    const at = (turns[turn] ?? 0) % left.length;
    const from = left[at]!;
    if (from.id === 0) {
      from.id = nextId;
      nextId += 2;
      if (from.isHeard) streamIds.push(from.id);
    }
    frames.push(from.units.shift()!(from.id));
    if (from.units.length === 0) left.splice(at, 1);
  }
  return { pieces: cut(Buffer.concat(frames), [pieceBytes]), streamIds };
}
