/** What a field's name says about where it may stand: RFC 9113 §8.2 and §8.3. */
export type FieldRole =
  | 'method'
  | 'scheme'
  | 'authority'
  | 'path'
  | 'status'
  | 'unknown_pseudo'
  | 'regular'
  /** `te`: allowed with the value `trailers` only. */
  | 'te'
  | 'content_length'
  /** Of a connection of HTTP/1.1: never allowed. */
  | 'connection_specific';

const roles: ReadonlyMap<string, FieldRole> = new Map([
  [':method', 'method'],
  [':scheme', 'scheme'],
  [':authority', 'authority'],
  [':path', 'path'],
  [':status', 'status'],
  ['te', 'te'],
  ['content-length', 'content_length'],
  ['connection', 'connection_specific'],
  ['proxy-connection', 'connection_specific'],
  ['keep-alive', 'connection_specific'],
  ['transfer-encoding', 'connection_specific'],
  ['upgrade', 'connection_specific'],
]);

/** A token without capital letters, or a pseudo-header's name: RFC 9113 §8.2.1. */
const namePattern = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;

/** The name of a field, and what must be known of it, found out once: names come again where values do not. */
export class FieldName {
  /** One character for each byte (latin1). */
  readonly text: string;
  readonly role: FieldRole;
  /** Found out when it is asked for first: our own names never are. */
  #isWellFormed: boolean | undefined;

  constructor(text: string) {
    this.text = text;
    this.role = roles.get(text) ?? (text.charCodeAt(0) === 0x3a ? 'unknown_pseudo' : 'regular');
  }

  /** Whether RFC 9113 §8.2 allows it anywhere. */
  get isWellFormed(): boolean {
    return (this.#isWellFormed ??= this.role !== 'connection_specific' && namePattern.test(this.text));
  }
}
