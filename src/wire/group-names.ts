import { limits } from '../domain/limits.ts';

/** A service in an environment of a tenant, by its texts and as one. */
export type NamedGroup = {
  readonly tenant: string;
  readonly service: string;
  readonly environment: string;
  /** `tenant/service/environment`. */
  readonly name: string;
};

/** A power of two. Of 1,000 services in two environments most stay; full of the longest names they are 1 MB. */
const slots = 2_048;
/** Of fields 1, 2 and 3 of a RouteKey: a byte of tag and one of length before each text. */
const tags = { tenant: 0x0a, service: 0x12, environment: 0x1a } as const;
const fieldHeadBytes = 2;

/**
 * Names of groups as lookups spell them, remembered: apps look up the same few again and again, and comparing bytes takes a third of
 * making three texts of them, joining those and hashing the outcome. Each has one slot, by its hash; the last to come keeps it.
 */
export class GroupNames {
  readonly #slots: (NamedGroup | undefined)[] = Array.from({ length: slots }, () => undefined);
  // The key under way, and where its fields begin.
  #bytes: Buffer = Buffer.alloc(0);
  #tenantAt = 0;
  #serviceAt = 0;
  #environmentAt = 0;
  #end = 0;

  /** Where the group that was read last ends. */
  get end(): number {
    return this.#end;
  }

  /** Reads the group that a RouteKey begins with; undefined: it is not spelled as encoders do, in printable ASCII. */
  read(bytes: Buffer, start: number, end: number): NamedGroup | undefined {
    this.#bytes = bytes;
    this.#tenantAt = start;
    this.#serviceAt = this.#endOfField(start, tags.tenant, end);
    this.#environmentAt = this.#endOfField(this.#serviceAt, tags.service, end);
    this.#end = this.#endOfField(this.#environmentAt, tags.environment, end);
    if (this.#end < 0) return undefined;
    const slot = this.#slot();
    const known = this.#slots[slot];
    if (known !== undefined && this.#isSpelled(known)) return known;
    const read = this.#textsOf();
    if (read !== undefined) this.#slots[slot] = read;
    return read;
  }

  /** -1: there is no such field, it is empty, or longer than a name. */
  #endOfField(at: number, tag: number, end: number): number {
    if (at < 0 || this.#bytes[at] !== tag) return -1;
    const length = this.#bytes[at + 1] ?? 0;
    const fieldEnd = at + fieldHeadBytes + length;
    return length === 0 || length > limits.nameLengthMax || fieldEnd > end ? -1 : fieldEnd;
  }

  /** FNV-1a over the three fields, heads and all. */
  #slot(): number {
    const bytes = this.#bytes;
    let hash = 0x81_1c_9d_c5;
    for (let at = this.#tenantAt; at < this.#end; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01_00_01_93);
    return (hash ^ (hash >>> 15)) & (slots - 1);
  }

  #isSpelled({ tenant, service, environment }: NamedGroup): boolean {
    return (
      this.#isText(tenant, this.#tenantAt, this.#serviceAt) &&
      this.#isText(service, this.#serviceAt, this.#environmentAt) &&
      this.#isText(environment, this.#environmentAt, this.#end)
    );
  }

  #isText(text: string, fieldAt: number, end: number): boolean {
    const at = fieldAt + fieldHeadBytes;
    if (text.length !== end - at) return false;
    for (let index = 0; index < text.length; index++)
      if (this.#bytes[at + index] !== text.charCodeAt(index)) return false;
    return true;
  }

  #textsOf(): NamedGroup | undefined {
    const tenant = printableText(this.#bytes, this.#tenantAt + fieldHeadBytes, this.#serviceAt);
    const service = printableText(this.#bytes, this.#serviceAt + fieldHeadBytes, this.#environmentAt);
    const environment = printableText(this.#bytes, this.#environmentAt + fieldHeadBytes, this.#end);
    if (tenant === '' || service === '' || environment === '') return undefined;
    return { tenant, service, environment, name: `${tenant}/${service}/${environment}` };
  }
}

/** Printable ASCII; '' when it is not. */
export function printableText(bytes: Buffer, start: number, end: number): string {
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x20 || byte > 0x7e) return '';
  }
  return bytes.toString('latin1', start, end);
}
