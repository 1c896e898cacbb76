import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { framesOf, type SpokenCall } from '../support/sidecar-wire/front-caller.ts';
import {
  calling,
  messageOf,
  passedOn,
  type Pair,
  pseudoOf,
  usualFields,
} from '../support/sidecar-wire/spoken-calls.ts';
import { type ToldCall, TwoFronts } from '../support/sidecar-wire/two-fronts.ts';

// grpc-js is the oracle: what callers say, right, odd or wrong, is answered alike by a front of our own.

const correlation: readonly Pair[] = [['x-correlation-id', 'the-id']];
const more = (...pairs: readonly Pair[]): SpokenCall => calling('Tell', pairs);
const typed = (...types: readonly string[]): SpokenCall => ({
  ...calling('Echo'),
  fields: [...pseudoOf('/test.Front/Echo'), ...types.map((type): Pair => ['content-type', type]), ['te', 'trailers']],
});
const from = (changed: Readonly<Record<string, string | null>>): SpokenCall => ({
  ...calling('Tell'),
  fields: [...pseudoOf('/test.Front/Tell', changed), ...usualFields],
});
const timed = (method: string, timeout: string): SpokenCall => calling(method, [['grpc-timeout', timeout]]);
const half = (bytes: number): Buffer => messageOf('hello').subarray(0, bytes);
/** A prefix that promises more than 16 MiB. */
const tooLarge = Buffer.from('0001000001', 'hex');

const alike: Readonly<Record<string, SpokenCall>> = {
  'a call': calling('Tell', correlation),
  'binary metadata, padded': more(['x-b-bin', 'AAE=']),
  'binary metadata, not padded': more(['x-b-bin', 'AAE']),
  'binary metadata, several in a line': more(['x-b-bin', 'AAE, AQ==,AA']),
  'binary metadata, several lines': more(['x-b-bin', 'AAE'], ['x-b-bin', 'AQ==']),
  'binary metadata, empty': more(['x-b-bin', '']),
  'binary metadata in the alphabet of URLs': more(['x-b-bin', '_-8']),
  'binary metadata that is none': more(['x-b-bin', '!!!']),
  'metadata with commas': more(['x-a', '1,2']),
  'metadata without a value': more(['x-a', '']),
  'metadata whose name gRPC does not allow': more(['x!a', '1']),
  'metadata in latin1': more(['x-a', 'h\u00E4']),
  'metadata with a tab': more(['x-a', 'a\tb']),
  'a correlation id in latin1': more(['x-correlation-id', 'h\u00E4']),
  'a hundred fields': more(...Array.from({ length: 100 }, (_none, index): Pair => [`x-${index}`, 'v'])),
  'encodings that are accepted': more(['accept-encoding', 'gzip'], ['grpc-accept-encoding', 'gzip']),
  'no te': { ...calling('Tell'), fields: [...pseudoOf('/test.Front/Tell'), ['content-type', 'application/grpc']] },
  'a te that is not allowed': {
    ...calling('Tell'),
    fields: [...pseudoOf('/test.Front/Tell'), ['content-type', 'application/grpc'], ['te', 'gzip']],
  },
  'a field of a connection': more(['connection', 'close']),
  'a field with capital letters': more(['X-A', '1']),
  'a content-length': more(['content-length', '10']),
  'a content-length that is wrong': more(['content-length', '11']),
  'another scheme': from({ ':scheme': 'https' }),
  'a host instead of an authority': {
    ...calling('Tell'),
    fields: [...pseudoOf('/test.Front/Tell', { ':authority': null }), ...usualFields, ['host', 'x']],
  },
  'the type with its format': typed('application/grpc+proto'),
  'another format': typed('application/grpc+json'),
  'a type with a parameter': typed('application/grpc;charset=utf-8'),
  'a type with both': typed('application/grpc+proto; charset=utf-8'),
  'the type of something else': typed('application/json'),
  'a type in capital letters': typed('Application/gRPC'),
  'an empty type': typed(''),
  'no type': typed(),
  'two types, gRPC first': typed('application/grpc', 'text/html'),
  'two types, gRPC last': typed('text/html', 'application/grpc'),
  'a method that nobody serves': calling('None'),
  'a method that nobody serves, and a broken timeout': timed('None', 'soon'),
  'a path that is none': from({ ':path': 'none' }),
  'a path with a query': from({ ':path': '/test.Front/Tell?x=1' }),
  'no message': calling('Echo', [], []),
  'no message, said by the headers': calling('Echo', [], [], 'headers'),
  'no message, said by trailers': calling('Echo', [], [], 'trailers'),
  'trailers after a message': calling('Echo', [], [messageOf('a')], 'trailers'),
  'an end without data': calling('Echo', [], [messageOf('a')], 'empty_data'),
  'an empty message': calling('Echo', [], [messageOf('')]),
  'two messages': calling('Echo', [], [messageOf('a'), messageOf('b')]),
  'two messages in a frame': calling('Instant', [], [Buffer.concat([messageOf('a'), messageOf('b')])]),
  'two messages to a server stream': calling('Repeat', [], [messageOf('\u0002'), messageOf('\u0001')]),
  'a message that is too large': calling('Echo', [], [tooLarge], 'empty_data'),
  'a message without compression, where there might be some': calling('Echo', [['grpc-encoding', 'gzip']]),
  'a compression that nobody knows': calling('Echo', [['grpc-encoding', 'zstd']], [messageOf('a', 1)]),
  'a refusal': calling('Echo', correlation, [messageOf('refuse')]),
  'a refusal without a correlation id': calling('Echo', [], [messageOf('refuse')]),
  'a fault': calling('Echo', correlation, [messageOf('fault')]),
  'an instant': calling('Instant', correlation),
  'a refusal of an instant': calling('Instant', correlation, [messageOf('refuse')]),
  'a refusal that an instant leaves to the handler': calling('Instant', correlation, [messageOf('refuse slow')]),
  'a server stream': calling('Repeat', correlation, [messageOf('\u0005')]),
  'a server stream of nothing': calling('Repeat', correlation, [messageOf('\u0000')]),
  'a server stream without a request': calling('Repeat', correlation, [], 'headers'),
  'a server stream that fails': calling('Repeat', correlation, [messageOf('\u0005\u0001')]),
  'a server stream that fails at once': calling('Repeat', correlation, [messageOf('\u0000\u0001')]),
  'a bidirectional stream': calling('Each', correlation, [messageOf('a'), messageOf(''), messageOf('c')]),
  'a bidirectional stream of nothing': calling('Each', correlation, [], 'headers'),
  'a bidirectional stream with trailers': calling('Each', correlation, [messageOf('a')], 'trailers'),
  'a bidirectional stream that fails': calling('Each', [], [messageOf('a'), messageOf('refuse'), messageOf('c')]),
  'a stream of instants': calling(
    'EachInstant',
    correlation,
    ['a', 'slow', 'c'].map((text) => messageOf(text)),
  ),
  'a stream of instants that fails': calling(
    'EachInstant',
    [],
    ['a', 'refuse', 'c'].map((text) => messageOf(text)),
  ),
  ...Object.fromEntries(
    ['0H', '0m', '0n', '1n', '999u', '1m', '00000005m'].map((time) => [`no time (${time})`, timed('Wait', time)]),
  ),
  ...Object.fromEntries(
    ['596H', '35791M', '2147483S', '99999999m', '99999999u'].map((time) => [
      `more time than it takes (${time})`,
      timed('Tell', time),
    ]),
  ),
  ...Object.fromEntries(['1x', 'm', ''].map((time) => [`a timeout that is none (${time})`, timed('Tell', time)])),
  'large metadata': calling('Echo', [['x-long', 'x'.repeat(12_000)]]),
};

type Known = { readonly call: SpokenCall; readonly wire: Partial<ToldCall> };

/** Where a front of our own answers otherwise, and means to. What it passes on is answered as by grpc-js here, too. */
const otherwise: readonly { readonly why: string; readonly known: Readonly<Record<string, Known>> }[] = [
  {
    why: 'grpc-js drops half a message as if it had not been sent',
    known: {
      'half a message': { call: calling('Echo', [], [half(7)]), wire: { code: '13' } },
      'half a prefix': { call: calling('Echo', [], [half(3)]), wire: { code: '13' } },
      'a prefix alone': { call: calling('Repeat', [], [half(5)]), wire: { code: '13' } },
      'one and a half': { call: calling('Echo', [], [messageOf('hello'), half(6)]), wire: { code: '12' } },
      'half a message in a stream': { call: calling('Each', [], [messageOf('a'), half(7)]), wire: { code: '13' } },
    },
  },
  {
    why: 'messages are not decompressed, and one that says it is compressed by nothing is none (gRPC: compression.md)',
    known: {
      gzip: {
        call: calling('Echo', [['grpc-encoding', 'gzip']], [messageOf(gzipSync('hello'), 1)]),
        wire: { code: '12' },
      },
      'a flag without an encoding': { call: calling('Echo', [], [messageOf('a', 1)]), wire: { code: '13' } },
      'a flag that is none': { call: calling('Echo', [], [messageOf('a', 2)]), wire: { code: '13' } },
    },
  },
  {
    why: 'a grpc-timeout is eight digits and a unit; grpc-js takes whatever has that in it, and its timers end at 2^31 ms',
    known: Object.fromEntries(
      ['123456789m', '1 m', '-1S', '1.5S', '1H1', 'a1H'].map((time) => [
        `a timeout with more in it (${time})`,
        { call: timed('Tell', time), wire: { code: '13' } },
      ]),
    ),
  },
  {
    why: 'node:http2 joins fields of one name, or drops all but the first',
    known: {
      'metadata in two lines': { call: more(['x-a', '1'], ['x-a', '2']), wire: { code: '0' } },
      'two user agents': { call: more(['user-agent', 'one'], ['user-agent', 'two']), wire: { code: '0' } },
    },
  },
];

/** What our front answers before anybody is asked, passed on or not. */
const atTheDoor: Readonly<Record<string, Known>> = {
  'what is no POST': {
    call: from({ ':method': 'GET' }),
    wire: { code: undefined, fields: { ':status': '405', allow: 'POST' } },
  },
  // grpc-js answers in a form that no client of gRPC-Web reads.
  'gRPC-Web': { call: typed('application/grpc-web'), wire: { code: undefined, fields: { ':status': '415' } } },
  // grpc-js takes four times as much, of each stream.
  'more than 16 KiB of metadata': { call: calling('Echo', [['x-long', 'x'.repeat(16_200)]]), wire: { code: '8' } },
  // grpc-js asks for it, RFC 9113 §8.3.1 does not.
  'no :authority': { call: from({ ':authority': null }), wire: { code: '0' } },
};

describe('two fronts', () => {
  let fronts: TwoFronts;

  beforeAll(async () => {
    fronts = await TwoFronts.start();
  });
  afterAll(async () => await fronts[Symbol.asyncDispose]());

  async function hear(call: SpokenCall): Promise<{ readonly reference: ToldCall; readonly wire: ToldCall }> {
    const script = { pieces: framesOf(1, call), streamIds: [1] };
    const [reference, wire] = [await fronts.ask('grpc-js', script), await fronts.ask('wire', script)];
    return { reference: reference![0]!, wire: wire![0]! };
  }

  it.each(Object.entries(alike))('answer alike: %s', async (_name, call) => {
    const { reference, wire } = await hear(call);
    expect(wire).toEqual(reference);
  });

  const known = otherwise.flatMap(({ why, known: each }) =>
    Object.entries(each).map(([name, { call, wire }]) => ({ name, why, call, expected: wire })),
  );

  it.each([...Object.entries(alike), ...known.map(({ name, call }) => [name, call] as const)])(
    'answer alike what is passed on: %s',
    async (_name, call) => {
      const { reference, wire } = await hear(passedOn(call));
      expect(wire).toEqual(reference);
    },
  );

  it.each(known)('differ in $name, for $why', async ({ call, expected }) => {
    const { reference, wire } = await hear(call);
    expect(wire).toMatchObject(expected);
    // What they no longer differ in belongs to what is alike.
    expect(wire).not.toEqual(reference);
  });

  it.each(Object.entries(atTheDoor))('differ in %s', async (_name, { call, wire: expected }) => {
    const { reference, wire } = await hear(call);
    expect(wire).toMatchObject(expected);
    expect(wire).not.toEqual(reference);
  });
});
