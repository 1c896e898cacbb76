import type { CallOptions } from './call-options.ts';
import { TrafficManagerError } from './traffic-manager-error.ts';

/** Metadata as it goes out: names in small letters, each once. */
export type MetadataEntries = readonly (readonly [name: string, value: string])[];

/** What gRPC itself says in these (doc/PROTOCOL-HTTP2.md), or who carries the call: a caller's are left out, as grpc-js does. */
const ownNames: ReadonlySet<string> = new Set([
  'te',
  'content-type',
  'content-length',
  'user-agent',
  'grpc-timeout',
  'grpc-encoding',
  'grpc-accept-encoding',
]);

/** Of a connection of HTTP/1.1 (RFC 9113 §8.2.2): a server ends the call for them, and grpc-js never ends it. */
const connectionNames: ReadonlySet<string> = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'host',
]);

const namePattern = /^[0-9a-z_.-]+$/;
/** No spaces around it: RFC 9113 §8.2.1 has a server end the call for them, or leave the entry out as Node's does. */
const valuePattern = /^(?:[!-~](?:[ -~]*[!-~])?)?$/;
const none: MetadataEntries = [];

/**
 * The metadata that goes out with a call.
 *
 * @throws TrafficManagerError INVALID_ARGUMENT naming the entry, when gRPC cannot carry it (https://grpc.io/docs/guides/metadata).
 */
export function callMetadata({ metadata, correlationId, actor, token }: CallOptions): MetadataEntries {
  if (metadata === undefined && correlationId === undefined && actor === undefined && token === undefined) return none;
  const entries = new Map<string, string>();
  const set = (givenName: string, value: string | undefined): void => {
    if (value === undefined) return;
    const name = givenName.toLowerCase();
    if (!namePattern.test(name) || name.endsWith('-bin') || connectionNames.has(name) || !isValue(value))
      throw cannotBeSent(givenName, correlationId);
    if (!ownNames.has(name)) entries.set(name, value);
  };
  for (const name in metadata) set(name, metadata[name]);
  set('x-correlation-id', correlationId);
  set('x-actor', actor);
  if (token !== undefined) set('authorization', `Bearer ${token}`);
  return Array.from(entries);
}

/** Callers without types give numbers, which a pattern takes for text, and the engine writes as frames of no length. */
function isValue(value: unknown): boolean {
  return typeof value === 'string' && valuePattern.test(value);
}

function cannotBeSent(name: string, correlationId: string | undefined): TrafficManagerError {
  return new TrafficManagerError({
    code: 'INVALID_ARGUMENT',
    message: `Metadata ${name} cannot be sent.`,
    fieldViolations: [
      { field: name, description: 'names are lower case, values are printable ASCII, without spaces around them' },
    ],
    correlationId,
  });
}
