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

/** Counted for each field besides its name and value: RFC 7541 §4.1. */
const fieldOverheadBytes = 32;

/** A token without capital letters, or a pseudo-header's name: RFC 9113 §8.2.1. */
const namePattern = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** No control characters but tab, and no space at either end. RFC 9113 asks for NUL, CR and LF only; the others are never meant. */
// oxlint-disable-next-line no-control-regex -- these are the characters that it is about.
const badValuePattern = /[\0-\u0008\u000A-\u001F\u007F]|^[ \t]|[ \t]$/;

/**
 * A header field. Strings hold one character for each byte (latin1). What must be known of it is found out once: fields of a
 * table are used again and again.
 */
export class HeaderField {
  readonly name: string;
  readonly value: string;
  readonly role: FieldRole;
  /** Its size in a table or list: RFC 7541 §4.1, RFC 9113 §6.5.2. */
  readonly bytes: number;
  /** Whether no table on its whole way may hold it: RFC 7541 §7.1.3. For secrets that are short, or guessed easily. */
  readonly isNeverIndexed: boolean;
  /** Found out when it is asked for first: our own fields never are. */
  #isWellFormed: boolean | undefined;

  constructor(name: string, value: string, { isNeverIndexed = false }: { readonly isNeverIndexed?: boolean } = {}) {
    this.name = name;
    this.value = value;
    this.role = roles.get(name) ?? (name.charCodeAt(0) === 0x3a ? 'unknown_pseudo' : 'regular');
    this.isNeverIndexed = isNeverIndexed;
    this.bytes = name.length + value.length + fieldOverheadBytes;
  }

  /** Whether RFC 9113 §8.2 allows it anywhere. */
  get isWellFormed(): boolean {
    return (this.#isWellFormed ??=
      namePattern.test(this.name) &&
      !badValuePattern.test(this.value) &&
      this.role !== 'connection_specific' &&
      (this.role !== 'te' || this.value === 'trailers'));
  }
}
