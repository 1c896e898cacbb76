import { ConnectionError } from './error-code.ts';
import { readUint32, writeUint32 } from './frame.ts';
import { tableBytesDefault } from './hpack/dynamic-table.ts';

/** RFC 9113 §6.5.2, with the values that hold until the peer sends others. */
export type Settings = {
  headerTableBytes: number;
  isPushEnabled: boolean;
  streamsMax: number;
  streamWindowBytes: number;
  frameBytesMax: number;
  headerListBytesMax: number;
};

export const windowBytesDefault = 65_535;
export const windowBytesMax = 0x7fffffff;
const frameBytesMaxDefault = 16_384;
const frameBytesMaxMost = 0xffffff;

const identifiers = {
  headerTableBytes: 0x1,
  isPushEnabled: 0x2,
  streamsMax: 0x3,
  streamWindowBytes: 0x4,
  frameBytesMax: 0x5,
  headerListBytesMax: 0x6,
} as const satisfies Record<keyof Settings, number>;

/** Identifier and value. */
const settingBytes = 6;

export function defaultSettings(): Settings {
  return {
    headerTableBytes: tableBytesDefault,
    isPushEnabled: true,
    streamsMax: Number.POSITIVE_INFINITY,
    streamWindowBytes: windowBytesDefault,
    frameBytesMax: frameBytesMaxDefault,
    headerListBytesMax: Number.POSITIVE_INFINITY,
  };
}

/** The payload of a SETTINGS frame that announces some of ours. */
export function encodeSettings(settings: Partial<Settings>): Buffer {
  const names = Object.keys(settings) as (keyof Settings)[];
  const payload = Buffer.alloc(names.length * settingBytes);
  for (const [index, name] of names.entries()) {
    payload.writeUInt16BE(identifiers[name], index * settingBytes);
    writeUint32(payload, index * settingBytes + 2, Number(settings[name]));
  }
  return payload;
}

/** How many settings a payload has: each may be work for us. */
export function settingsCount(bytes: number): number {
  if (bytes % settingBytes !== 0)
    throw new ConnectionError('FRAME_SIZE_ERROR', `SETTINGS of ${bytes} bytes are no whole settings`);
  return bytes / settingBytes;
}

/**
 * Takes over what the peer announces, in order (§6.5.3); unknown settings are ignored (§6.5.2). Answers the smallest size of the
 * table in between, which its decoder has been at (RFC 7541 §4.2).
 */
export function applySettings(settings: Settings, buffer: Buffer, start: number, end: number): number {
  let headerTableBytesMin = settings.headerTableBytes;
  for (let at = start; at < end; at += settingBytes) {
    const value = readUint32(buffer, at + 2);
    switch (buffer.readUInt16BE(at)) {
      case identifiers.headerTableBytes:
        settings.headerTableBytes = value;
        headerTableBytesMin = Math.min(headerTableBytesMin, value);
        break;
      case identifiers.isPushEnabled:
        if (value > 1) throw new ConnectionError('PROTOCOL_ERROR', `SETTINGS_ENABLE_PUSH of ${value}`);
        settings.isPushEnabled = value === 1;
        break;
      case identifiers.streamsMax:
        settings.streamsMax = value;
        break;
      case identifiers.streamWindowBytes:
        if (value > windowBytesMax)
          throw new ConnectionError('FLOW_CONTROL_ERROR', `SETTINGS_INITIAL_WINDOW_SIZE of ${value}`);
        settings.streamWindowBytes = value;
        break;
      case identifiers.frameBytesMax:
        if (value < frameBytesMaxDefault || value > frameBytesMaxMost)
          throw new ConnectionError('PROTOCOL_ERROR', `SETTINGS_MAX_FRAME_SIZE of ${value}`);
        settings.frameBytesMax = value;
        break;
      case identifiers.headerListBytesMax:
        settings.headerListBytesMax = value;
        break;
      default:
    }
  }
  return headerTableBytesMin;
}
