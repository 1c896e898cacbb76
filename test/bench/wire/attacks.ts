import type { ErrorName } from '../../../sidecar/wire/error-code.ts';
import { clientPreface, frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import { streamBytes, wireLimits } from '../../../sidecar/wire/limits.ts';
import { frame, plainBlock, settingsPayload, uint32 } from '../../support/sidecar-wire/frames.ts';

const { DATA, HEADERS, RST_STREAM, SETTINGS, PRIORITY, PING, WINDOW_UPDATE, CONTINUATION } = frameTypes;
const { END_HEADERS, END_STREAM, PADDED } = frameFlags;

/** One way to attack a server: what is sent first on a connection, and what is sent over and over after that. */
export type Attack = {
  readonly name: string;
  readonly settings?: readonly (readonly [identifier: number, value: number])[];
  readonly first?: Buffer;
  /** Undefined: nothing more, the connection is only held. */
  readonly again?: (index: number) => Buffer | undefined;
  /** Not given: `attackerConnections`. */
  readonly connections?: number;
  /** Whether it reads what comes. */
  readonly reads: boolean;
  /** How its connections must be ended, at the latest after so long; `closed`: who does not read, is told nothing. */
  readonly endedBy: ErrorName | 'closed';
  readonly endsAfterMs: number;
};

/** Of each attack, at the same time. */
export const attackerConnections = 4;
/** As many as it takes to hold all that connections share, and one. */
const budgetConnections = Math.ceil(wireLimits.heldBytesMaxOfAll / (wireLimits.streamsMax * streamBytes)) + 1;

const request = (method: string): Buffer =>
  plainBlock([
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', `/test.Echo/${method}`],
    ['content-type', 'application/grpc'],
  ]);
const unary = request('Unary');
const never = request('Never');
const message = Buffer.concat([Buffer.from([0]), uint32(10_000), Buffer.alloc(10_000, 0x61)]);
const small = Buffer.concat([Buffer.from([0]), uint32(1), Buffer.from('x')]);
const idOf = (index: number): number => (index * 2 + 1) % 0x7fffffff;
/** A flood is found out as soon as it is read. */
const atOnce = { endedBy: 'ENHANCE_YOUR_CALM', endsAfterMs: 5_000 } as const;
const table = Buffer.concat([Buffer.from([0x40, 1, 0x78, 0x7f, 0xa1, 0x1e]), Buffer.alloc(4_000, 0x61)]);

export const attacks: readonly Attack[] = [
  {
    name: 'rapid reset (CVE-2023-44487)',
    again: (index) =>
      Buffer.concat([frame(HEADERS, END_HEADERS, idOf(index), never), frame(RST_STREAM, 0, idOf(index), uint32(8))]),
    reads: true,
    ...atOnce,
  },
  {
    name: 'CONTINUATION flood',
    first: frame(HEADERS, 0, 1, unary),
    again: () => frame(CONTINUATION, 0, 1, Buffer.alloc(1_000, 0x82)),
    reads: true,
    ...atOnce,
  },
  {
    name: 'HPACK bomb',
    again: (index) =>
      frame(HEADERS, END_HEADERS | END_STREAM, idOf(index), Buffer.concat([unary, table, Buffer.alloc(10_000, 0xbe)])),
    reads: true,
    ...atOnce,
  },
  { name: 'SETTINGS flood', again: () => frame(SETTINGS, 0, 0, settingsPayload([3, 100])), reads: true, ...atOnce },
  {
    name: 'PING flood',
    again: () => frame(PING, 0, 0, '12345678'),
    reads: false,
    endedBy: 'closed',
    endsAfterMs: lateMs(wireLimits.stallMsMax),
  },
  {
    name: 'empty frames',
    first: frame(HEADERS, END_HEADERS, 1, never),
    again: () => frame(DATA, 0, 1),
    reads: true,
    ...atOnce,
  },
  {
    name: 'zero window',
    settings: [[4, 0]],
    again: (index) =>
      Buffer.concat([frame(HEADERS, END_HEADERS, idOf(index), unary), frame(DATA, END_STREAM, idOf(index), message)]),
    reads: true,
    ...atOnce,
  },
  {
    name: 'slow reader',
    settings: [[4, 0x7fffffff]],
    first: frame(WINDOW_UPDATE, 0, 0, uint32(0x7fff0000)),
    again: (index) =>
      Buffer.concat([frame(HEADERS, END_HEADERS, idOf(index), unary), frame(DATA, END_STREAM, idOf(index), message)]),
    reads: false,
    endedBy: 'closed',
    endsAfterMs: lateMs(wireLimits.stallMsMax),
  },
  {
    name: 'header lists above the limit',
    again: (index) =>
      Buffer.concat([
        frame(HEADERS, END_STREAM, idOf(index), unary),
        frame(CONTINUATION, 0, idOf(index), plainBlock([['x-long', 'x'.repeat(16_000)]])),
        frame(CONTINUATION, END_HEADERS, idOf(index), plainBlock([['x-long', 'x'.repeat(1_000)]])),
      ]),
    reads: true,
    ...atOnce,
  },
  {
    name: 'streams without end',
    again: (index) => frame(HEADERS, END_HEADERS, idOf(index), never),
    reads: true,
    ...atOnce,
  },
  {
    // Legal, but for the PING that nobody answers: what the others share is spent, and nobody may be the worse for it.
    name: 'streams that spend the budget',
    connections: budgetConnections,
    again: (index) => (index < wireLimits.streamsMax ? frame(HEADERS, END_HEADERS, idOf(index), never) : undefined),
    reads: true,
    endedBy: 'closed',
    endsAfterMs: lateMs(2 * wireLimits.keepaliveMs),
  },
  {
    name: 'half a preface',
    first: clientPreface.subarray(0, 10),
    reads: true,
    endedBy: 'closed',
    endsAfterMs: lateMs(wireLimits.unfinishedMsMax),
  },
  { name: 'WINDOW_UPDATE flood', again: () => frame(WINDOW_UPDATE, 0, 0, uint32(1)), reads: true, ...atOnce },
  {
    name: 'PRIORITY flood',
    again: (index) => frame(PRIORITY, 0, idOf(index), Buffer.from([0, 0, 0, 0, 16])),
    reads: true,
    ...atOnce,
  },
  {
    name: 'resets after the answer',
    again: (index) =>
      Buffer.concat([
        frame(HEADERS, END_HEADERS, idOf(index), unary),
        frame(DATA, END_STREAM, idOf(index), small),
        frame(RST_STREAM, 0, idOf(index), uint32(8)),
      ]),
    reads: true,
    ...atOnce,
  },
  {
    name: 'DATA of padding only',
    first: frame(HEADERS, END_HEADERS, 1, never),
    again: () => frame(DATA, PADDED, 1, Buffer.from([3, 0, 0, 0])),
    reads: true,
    ...atOnce,
  },
];

/** Looked for as often as liveness does, and on a machine that is busy. */
function lateMs(limitMs: number): number {
  return limitMs + 15_000;
}
