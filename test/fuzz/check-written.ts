import { errorNameOf } from '../../sidecar/wire/error-code.ts';
import { clientPreface, frameFlags, frameTypes } from '../../sidecar/wire/frame.ts';
import { FrameSplitter, type ReadFrame } from '../support/sidecar-wire/frames.ts';
import type { MemorySocket } from '../support/sidecar-wire/memory-socket.ts';

/** What one connection came to, for those who count. */
export type FuzzOutcome = 'alive' | 'ended' | 'refused';

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
  checkStreams(splitter.frames);
  const goAways = splitter.frames.filter(({ type }) => type === GOAWAY);
  for (const { payload } of goAways)
    if (errorNameOf(payload.readUInt32BE(4)) === 'INTERNAL_ERROR')
      throw new Error(`the engine failed: ${payload.toString('utf8', 8)}`);
  const last = goAways.at(-1);
  if (last === undefined) return isOver ? 'ended' : 'alive';
  return errorNameOf(last.payload.readUInt32BE(4)) === 'NO_ERROR' ? 'ended' : 'refused';
}

/** RFC 9113 §5.1 of the sender: nothing after END_STREAM but RST_STREAM and WINDOW_UPDATE, nothing at all after RST_STREAM. */
function checkStreams(frames: readonly ReadFrame[]): void {
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
}
