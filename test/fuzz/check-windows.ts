import { clientPreface, frameTypes } from '../../sidecar/wire/frame.ts';
import { FrameSplitter } from '../support/sidecar-wire/frames.ts';

const { DATA, SETTINGS, WINDOW_UPDATE } = frameTypes;
const windowBytesDefault = 65_535;
const initialWindowId = 4;
const settingBytes = 6;

/**
 * Holds the data that the engine wrote against the windows that its peer gave it, by all that the peer said in the end: RFC 9113 §6.9.
 * What it said in between it may have said too late; it is not asked for.
 */
export function checkWindows(written: Buffer, said: Buffer): void {
  const ours = framesOf(written);
  const theirs = framesOf(said);
  const given = new Map<number, number>();
  let initial = windowBytesDefault;
  for (const { type, streamId, payload } of theirs) {
    if (type === WINDOW_UPDATE) add(given, streamId, payload.readUInt32BE(0));
    if (type !== SETTINGS) continue;
    for (let at = 0; at < payload.length; at += settingBytes)
      if (payload.readUInt16BE(at) === initialWindowId) initial = Math.max(initial, payload.readUInt32BE(at + 2));
  }
  const used = new Map<number, number>();
  for (const { type, streamId, payload } of ours) {
    if (type !== DATA) continue;
    add(used, 0, payload.length);
    add(used, streamId, payload.length);
  }
  for (const [streamId, bytes] of used)
    if (bytes > (streamId === 0 ? windowBytesDefault : initial) + (given.get(streamId) ?? 0))
      throw new Error(`${bytes} bytes on stream ${streamId}, which is more than its window`);
}

function add(sums: Map<number, number>, key: number, value: number): void {
  sums.set(key, (sums.get(key) ?? 0) + value);
}

function framesOf(bytes: Buffer): FrameSplitter['frames'] {
  const splitter = new FrameSplitter();
  const isClient = bytes.subarray(0, clientPreface.length).equals(clientPreface);
  splitter.push(isClient ? bytes.subarray(clientPreface.length) : bytes);
  return splitter.frames;
}
