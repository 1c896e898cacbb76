import { limits } from '../domain/limits.ts';
import type { Lookup } from '../domain/resolve.ts';
import { keyTag, nameHeadBytes } from './group-name.ts';
import { printableText, RememberedTexts } from './remembered-texts.ts';

const noAttributes: Readonly<Record<string, string>> = Object.freeze({});

/** Fields of a ResolveRequest by their tags, in resolver_service.proto. */
const tag = { key: 0x0a, hashKey: 0x12, attributes: 0x1a, method: 0x22, consistency: 0x2a } as const;
/** Of an entry of `attributes`. */
const entryTag = { key: 0x0a, value: 0x12 } as const;
/** Of a Consistency, and of the Duration in it. */
const consistencyTag = { maxStaleness: 0x0a, minRevision: 0x10 } as const;
const durationTag = { seconds: 0x08, nanos: 0x10 } as const;

/**
 * Reads a ResolveRequest as almost everybody sends it, without making a message of it: one reader serves all lookups, one
 * after the other. What it does not take (unknown or repeated fields, text that is not printable ASCII, what is too long, `strong`, the
 * past, a key that is not in the order in which all encoders write it) is not wrong: it is for the generated decoder and the checks
 * behind it, which this never contradicts. The service and the environment become texts only for who asks: who has what memory holds
 * by their bytes does not.
 */
export class LookupReader implements Lookup {
  tenant = '';
  version = '';
  /** Where the fields of the service and the environment are in the message, heads and all: what a group is found by. */
  groupStart = 0;
  groupEnd = 0;
  hashKey = '';
  method = '';
  attributes: Readonly<Record<string, string>> = noAttributes;
  /** Infinity: not asked for. */
  stalenessMsMax = Infinity;
  /** 0: not asked for. */
  revisionMin = 0;
  readonly #tenants = new RememberedTexts();
  readonly #versions = new RememberedTexts();
  #bytes: Buffer = Buffer.alloc(0);
  #environmentAt = 0;
  #hasKey = false;
  #at = 0;

  /** Reads the message from `start` to `end`; false: it is for the decoder. */
  read(bytes: Buffer, start: number, end: number): boolean {
    this.#bytes = bytes;
    this.#at = start;
    this.#hasKey = false;
    this.tenant = this.version = this.hashKey = this.method = '';
    this.attributes = noAttributes;
    this.stalenessMsMax = Infinity;
    this.revisionMin = 0;
    while (this.#at < end) if (!this.#readField(bytes[this.#at++] ?? 0, end)) return false;
    return this.tenant !== '';
  }

  /** Of the bytes of the message: to be asked for before they change. */
  get service(): string {
    return this.#bytes.toString('latin1', this.groupStart + nameHeadBytes, this.#environmentAt);
  }

  /** As {@link service}. */
  get environment(): string {
    return this.#bytes.toString('latin1', this.#environmentAt + nameHeadBytes, this.groupEnd);
  }

  #readField(field: number, end: number): boolean {
    const fieldEnd = this.#endOfField(end);
    if (fieldEnd < 0) return false;
    switch (field) {
      case tag.key:
        return !this.#hasKey && this.#readKey(fieldEnd);
      case tag.hashKey:
        if (this.hashKey !== '' || fieldEnd - this.#at > limits.hashKeyLengthMax) return false;
        this.hashKey = this.#text(fieldEnd);
        return this.hashKey !== '';
      case tag.method:
        if (this.method !== '' || fieldEnd - this.#at > limits.methodLengthMax) return false;
        this.method = this.#text(fieldEnd);
        return this.method !== '';
      case tag.attributes:
        return this.#readAttribute(fieldEnd);
      case tag.consistency:
        return this.stalenessMsMax === Infinity && this.revisionMin === 0 && this.#readConsistency(fieldEnd);
      default:
        return false;
    }
  }

  #readKey(end: number): boolean {
    this.#hasKey = true;
    const tenantAt = this.#at;
    this.groupStart = this.#endOfName(tenantAt, keyTag.tenant, end);
    this.#environmentAt = this.#endOfName(this.groupStart, keyTag.service, end);
    this.groupEnd = this.#endOfName(this.#environmentAt, keyTag.environment, end);
    if (this.groupEnd < 0) return false;
    this.#at = end;
    this.tenant = this.#tenants.read(this.#bytes, tenantAt + nameHeadBytes, this.groupStart);
    if (this.tenant === '') return false;
    if (this.groupEnd === end) return true;
    if (this.#endOfName(this.groupEnd, keyTag.version, end) !== end) return false;
    this.version = this.#versions.read(this.#bytes, this.groupEnd + nameHeadBytes, end);
    return this.version !== '';
  }

  /** Where the field of a name ends; -1: there is no such field, it is empty, or longer than a name. */
  #endOfName(at: number, tag: number, end: number): number {
    if (at < 0 || this.#bytes[at] !== tag) return -1;
    const length = this.#bytes[at + 1] ?? 0;
    const fieldEnd = at + nameHeadBytes + length;
    return length === 0 || length > limits.nameLengthMax || fieldEnd > end ? -1 : fieldEnd;
  }

  #readAttribute(end: number): boolean {
    if (this.#bytes[this.#at++] !== entryTag.key) return false;
    const nameEnd = this.#endOfField(end);
    if (nameEnd <= this.#at || nameEnd - this.#at > limits.attributeKeyLengthMax) return false;
    const name = this.#text(nameEnd);
    if (this.#bytes[this.#at++] !== entryTag.value) return false;
    const valueEnd = this.#endOfField(end);
    if (valueEnd !== end || valueEnd - this.#at > limits.attributeValueLengthMax) return false;
    const value = this.#text(valueEnd);
    // `__proto__` is a name like any other, which assigning would not make a property of.
    if (name === '' || name === '__proto__' || (value === '' && this.#at !== valueEnd)) return false;
    if (this.attributes === noAttributes) this.attributes = {};
    else if (Object.keys(this.attributes).length >= limits.attributesMax) return false;
    (this.attributes as Record<string, string>)[name] = value;
    return true;
  }

  #readConsistency(end: number): boolean {
    if (this.#at === end) return true;
    const field = this.#bytes[this.#at++];
    if (field === consistencyTag.minRevision) {
      this.revisionMin = this.#integer(end);
      return this.revisionMin > 0 && this.#at === end;
    }
    if (field !== consistencyTag.maxStaleness || this.#endOfField(end) !== end) return false;
    let durationMs = 0;
    while (this.#at < end) {
      const unit = this.#bytes[this.#at++];
      const count = this.#integer(end);
      if (count < 0) return false;
      if (unit === durationTag.seconds) durationMs += count * 1_000;
      else if (unit === durationTag.nanos) durationMs += count / 1e6;
      else return false;
    }
    this.stalenessMsMax = durationMs;
    return durationMs > 0;
  }

  /** Reads the length of a field; where it ends, or -1. */
  #endOfField(end: number): number {
    const length = this.#integer(end);
    return length < 0 || this.#at + length > end ? -1 : this.#at + length;
  }

  /** A varint of up to 49 bits; -1: it is longer, or cut off. */
  #integer(end: number): number {
    let value = 0;
    for (let factor = 1; factor < 2 ** 49; factor *= 0x80) {
      if (this.#at >= end) return -1;
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    return -1;
  }

  /** Printable ASCII; '' when it is not, and then nothing was read. */
  #text(end: number): string {
    const text = printableText(this.#bytes, this.#at, end);
    if (text !== '') this.#at = end;
    return text;
  }
}
