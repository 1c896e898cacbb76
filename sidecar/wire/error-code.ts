/** Error codes of RST_STREAM and GOAWAY: RFC 9113 §7. */
export const errorCodes = {
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  FLOW_CONTROL_ERROR: 0x3,
  SETTINGS_TIMEOUT: 0x4,
  STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  COMPRESSION_ERROR: 0x9,
  CONNECT_ERROR: 0xa,
  ENHANCE_YOUR_CALM: 0xb,
  INADEQUATE_SECURITY: 0xc,
  HTTP_1_1_REQUIRED: 0xd,
} as const;

export type ErrorName = keyof typeof errorCodes;

const names = Object.keys(errorCodes) as ErrorName[];

/** The name of a code from the peer; unknown ones mean INTERNAL_ERROR: they must not be handled specially (§7). */
export function errorNameOf(code: number): ErrorName {
  return names.find((name) => errorCodes[name] === code) ?? 'INTERNAL_ERROR';
}

/** What ends a connection: it is told with a GOAWAY of this code (RFC 9113 §5.4.1). Errors of one stream are not thrown. */
export class ConnectionError extends Error {
  readonly code: ErrorName;

  constructor(code: ErrorName, message: string, options?: ErrorOptions) {
    super(`${code}: ${message}`, options);
    this.code = code;
  }
}
