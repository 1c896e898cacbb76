import { createSecureContext } from 'node:tls';
import { TrafficManagerError } from './traffic-manager-error.ts';

/** How a connection is made secret. Everything is PEM. */
export interface TlsSettings {
  /** Who may vouch for the server. Default: the authorities that Node knows. */
  readonly authorities?: string | Buffer | undefined;
  /** What the client shows of itself, and its key; both or none. Default: none. */
  readonly certificate?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  /** The name that the server's certificate must have. Default: the host of the address. */
  readonly serverName?: string | undefined;
}

/** @throws TrafficManagerError INVALID_ARGUMENT when no connection can be made with them, whoever the server is. */
export function assertUsable(tls: TlsSettings): void {
  const { authorities: ca, certificate: cert, key } = tls;
  if ((cert === undefined) !== (key === undefined)) throw unusable('a certificate and its key are both given, or none');
  try {
    createSecureContext({ ca, cert, key });
  } catch (cause) {
    throw unusable('must be certificates, and the key of the first, in PEM', cause);
  }
}

function unusable(description: string, cause?: unknown): TrafficManagerError {
  return new TrafficManagerError({
    code: 'INVALID_ARGUMENT',
    message: `The TLS settings cannot be used: ${description}.`,
    fieldViolations: [{ field: 'tls', description }],
    cause,
  });
}
