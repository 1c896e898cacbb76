import { type ErrorName, errorNameOf } from '../../sidecar/wire/error-code.ts';
import { clientPreface, frameFlags, frameTypes } from '../../sidecar/wire/frame.ts';
import { FrameSplitter, type ReadFrame } from '../support/sidecar-wire/frames.ts';
import type { MemorySocket } from '../support/sidecar-wire/memory-socket.ts';
import { checkWindows } from './check-windows.ts';

/** What one connection came to, for those who count. */
export type FuzzOutcome = {
  readonly end: 'alive' | 'ended' | 'refused';
  /** What the engine ended the connection with; undefined: with nothing. */
  readonly error: ErrorName | undefined;
  /** What it reset streams with, in order. */
  readonly resets: readonly ErrorName[];
  /** Streams that it has said all of. */
  readonly completed: number;
};

const { DATA, HEADERS, CONTINUATION, RST_STREAM, GOAWAY } = frameTypes;

/**
 * Holds what the engine wrote against what no peer can make it write: half a frame, a frame on a stream that it has ended or
 * reset, a header block with something in between, or an error that it calls its own.
 */
export function checkWritten(socket: MemorySocket, isClient: boolean, isOver: boolean): FuzzOutcome {
  const bytes = Buffer.concat(socket.written);
  const preface = isClient ? clientPreface : Buffer.alloc(0);
  if (!bytes.subarray(0, preface.length).equals(preface)) throw new Error('the preface does not come first');
  const splitter = new FrameSplitter();
  splitter.push(bytes.subarray(preface.length));
  if (splitter.restBytes !== 0) throw new Error('the last frame has no end');
  const completed = checkStreams(splitter.frames);
  const goAways = splitter.frames.filter(({ type }) => type === GOAWAY);
  for (const { payload } of goAways)
    if (errorNameOf(payload.readUInt32BE(4)) === 'INTERNAL_ERROR')
      throw new Error(`the engine failed: ${payload.toString('utf8', 8)}`);
  const last = goAways.at(-1);
  const error = last && errorNameOf(last.payload.readUInt32BE(4));
  const isRefused = error !== undefined && error !== 'NO_ERROR';
  return {
    end: isRefused ? 'refused' : error !== undefined || isOver ? 'ended' : 'alive',
    error,
    resets: splitter.frames
      .filter(({ type }) => type === RST_STREAM)
      .map(({ payload }) => errorNameOf(payload.readUInt32BE(0))),
    completed,
  };
}

/** What says that the peer has broken a rule. */
const blame: ReadonlySet<ErrorName> = new Set([
  'PROTOCOL_ERROR',
  'FLOW_CONTROL_ERROR',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'COMPRESSION_ERROR',
  'SETTINGS_TIMEOUT',
]);

/** A peer that keeps to the RFC is sent no more than it has a window for, and blamed for nothing; it may be told to calm down. */
export function checkUnblamed({ error, resets }: FuzzOutcome, socket: MemorySocket): void {
  checkWindows(Buffer.concat(socket.written), Buffer.concat(socket.received));
  const found = [error, ...resets].find((each) => each !== undefined && blame.has(each));
  if (found !== undefined) throw new Error(`a peer was blamed for nothing: ${found}`);
}

/** RFC 9113 §5.1 of the sender: nothing after END_STREAM but RST_STREAM and WINDOW_UPDATE, nothing at all after RST_STREAM. Answers how many streams were ended. */
function checkStreams(frames: readonly ReadFrame[]): number {
  const ended = new Set<number>();
  const reset = new Set<number>();
  let openBlock = 0;
  for (const { type, flags, streamId } of frames) {
    const says = `a frame of type ${type} on stream ${streamId}`;
    if (openBlock !== 0 && (type !== CONTINUATION || streamId !== openBlock))
      throw new Error(`${says} inside of a header block`);
    if (reset.has(streamId) && type !== RST_STREAM) throw new Error(`${says}, which was reset`);
    if (ended.has(streamId) && (type === DATA || type === HEADERS)) throw new Error(`${says}, which had ended`);
    if (type === HEADERS || type === CONTINUATION) openBlock = (flags & frameFlags.END_HEADERS) === 0 ? streamId : 0;
    if ((type === DATA || type === HEADERS) && (flags & frameFlags.END_STREAM) !== 0) ended.add(streamId);
    if (type === RST_STREAM) reset.add(streamId);
  }
  return ended.size;
}
