import { clientPreface, frameFlags, frameTypes } from '../../sidecar/wire/frame.ts';
import { frame, plainBlock } from '../support/sidecar-wire/frames.ts';

export type Fields = readonly (readonly [name: string, value: string])[];

/** What one side of a connection says when nothing is wrong with it: mutations begin there. */
export type Vocabulary = {
  readonly preface: Buffer;
  /** Streams that the other side has opened before; 0: this one opens them. */
  readonly opened: number;
  readonly blocks: readonly Buffer[];
  /** Trailers, and blocks that use the table. */
  readonly otherBlocks: readonly Buffer[];
  /** All that a stream is answered, in order. */
  readonly exchange?: (streamId: number, message: Buffer) => Buffer;
};

const { DATA, HEADERS } = frameTypes;
const { END_HEADERS, END_STREAM } = frameFlags;

const grpcFields = (path: string): Fields => [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', `/test.Echo/${path}`],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
];

/** Requests that keep to the RFC, whatever is sent after them. */
export const requestLists: readonly Fields[] = [
  ...['Unary', 'Later', 'Never', 'ServerStream', 'ClientStream', 'Bidi', 'None'].map((path) => grpcFields(path)),
  [...grpcFields('Unary'), ['grpc-timeout', '10m'], ['x-some-bin', 'AAEC']],
  [...grpcFields('Bidi'), ['grpc-timeout', '5m'], ['x-long', 'y'.repeat(200)]],
  [...grpcFields('Unary'), ['x-a', '1'], ['x-a', '2'], ['x-a', '']],
];
export const trailerLists: readonly Fields[] = [[['x-trailer', 'yes']], [['x-other', 'z'.repeat(50)]]];

const requestBlocks: readonly Buffer[] = [
  ...['Unary', 'Later', 'Never', 'ServerStream', 'ClientStream', 'Bidi', 'None'].map((path) => grpcFields(path)),
  [...grpcFields('Unary'), ['grpc-timeout', '10m'], ['x-some-bin', 'AAEC']] as const,
  [...grpcFields('Unary'), ['content-length', '7']] as const,
].map((fields) => plainBlock(fields));
/** Trailers, and blocks that use the table: RFC 7541 C.4, in whatever order. */
const laterRequestBlocks: readonly Buffer[] = [
  Buffer.from('828684418cf1e3c2e5f23a6ba0ab90f4ff', 'hex'),
  Buffer.from('828684be5886a8eb10649cbf', 'hex'),
  Buffer.from('3fe11f828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf', 'hex'),
  plainBlock([['x-trailer', 'yes']]),
];

export const clientVocabulary: Vocabulary = {
  preface: clientPreface,
  opened: 0,
  blocks: requestBlocks,
  otherBlocks: laterRequestBlocks,
};

const responseBlock = plainBlock([
  [':status', '200'],
  ['content-type', 'application/grpc'],
]);
const trailersBlock = plainBlock([['grpc-status', '0']]);
const responseBlocks: readonly Buffer[] = [
  responseBlock,
  trailersBlock,
  ...[
    // All in one: the status of a call without messages.
    [
      [':status', '200'],
      ['content-type', 'application/grpc'],
      ['grpc-status', '5'],
      ['grpc-message', 'n%C3%B6 %zz %'],
    ] as const,
    [[':status', '100']] as const,
    [[':status', '103']] as const,
    [[':status', '503']] as const,
    [
      [':status', '200'],
      ['content-type', 'text/html'],
    ] as const,
    [
      [':status', '200'],
      ['content-type', 'application/grpc'],
      ['content-length', '10'],
    ] as const,
    [['grpc-status', 'none']] as const,
    [
      ['grpc-status', '13'],
      ['x-some-bin', 'AAEC'],
    ] as const,
  ].map((fields) => plainBlock(fields)),
];
/** RFC 7541 C.6, whose table is of 256 bytes, in whatever order; a size update; an index that may not be there. */
const laterResponseBlocks: readonly Buffer[] = [
  Buffer.from('488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff', 'hex'),
  Buffer.from('4883640effc1c0bf', 'hex'),
  Buffer.from('3fe11f88', 'hex'),
  Buffer.from('88be', 'hex'),
  plainBlock([['x-trailer', 'yes']]),
];

const grpcResponse: Fields = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
];
/** What a server may begin with, say in between, say alone, and end with. */
export const responseLists: readonly Fields[] = [
  grpcResponse,
  [...grpcResponse, ['x-some-bin', 'AAEC']],
  [
    [':status', '200'],
    ['content-type', 'text/html'],
  ],
  [[':status', '503']],
];
export const informationalLists: readonly Fields[] = [
  [[':status', '100']],
  [
    [':status', '103'],
    ['link', 'x'],
  ],
];
export const onlyLists: readonly Fields[] = [
  [...grpcResponse, ['grpc-status', '5'], ['grpc-message', 'n%C3%B6 %zz %']],
  [...grpcResponse, ['grpc-status', '0']],
  [[':status', '404']],
];
export const statusLists: readonly Fields[] = [
  [['grpc-status', '0']],
  [
    ['grpc-status', '13'],
    ['x-some-bin', 'AAEC'],
  ],
  [['grpc-status', 'none']],
];

/** A server's, to so many calls. */
export function serverVocabulary(opened: number): Vocabulary {
  return {
    preface: Buffer.alloc(0),
    opened,
    blocks: responseBlocks,
    otherBlocks: laterResponseBlocks,
    exchange: (streamId, message) =>
      Buffer.concat([
        frame(HEADERS, END_HEADERS, streamId, responseBlock),
        frame(DATA, 0, streamId, message),
        frame(HEADERS, END_HEADERS | END_STREAM, streamId, trailersBlock),
      ]),
  };
}
