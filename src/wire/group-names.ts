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
/** Three names, and what stands between them. */
const nameBytesMax = 3 * limits.nameLengthMax + 2;
const slash = 0x2f;

/**
 * Names of groups as lookups spell them, remembered: apps look up the same few again and again, and comparing bytes takes a third of
 * making three texts of them, joining those and hashing the outcome. Each has one slot, by its hash; the last to come keeps it.
 */
export class GroupNames {
  readonly #slots: (NamedGroup | undefined)[] = Array.from({ length: slots }, () => undefined);
  /** Of what is in the slots. Most of what another group has taken the slot of is told by this, without looking at its texts. */
  readonly #hashes = new Int32Array(slots);
  readonly #scratch = Buffer.allocUnsafeSlow(nameBytesMax);
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
    const hash = this.#hash();
    const slot = (hash ^ (hash >>> 15)) & (slots - 1);
    const known = this.#hashes[slot] === hash ? this.#slots[slot] : undefined;
    if (known !== undefined && this.#isSpelled(known)) return known;
    const read = this.#textsOf();
    if (read === undefined) return undefined;
    this.#slots[slot] = read;
    this.#hashes[slot] = hash;
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
  #hash(): number {
    const bytes = this.#bytes;
    let hash = 0x81_1c_9d_c5;
    for (let at = this.#tenantAt; at < this.#end; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01_00_01_93);
    return hash | 0;
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

  /** One text is made of the bytes, and the others are parts of it: three calls out of JavaScript less. */
  #textsOf(): NamedGroup | undefined {
    const tenantEnd = this.#copyText(this.#tenantAt, this.#serviceAt, 0);
    const serviceEnd = this.#copyText(this.#serviceAt, this.#environmentAt, tenantEnd + 1);
    const end = this.#copyText(this.#environmentAt, this.#end, serviceEnd + 1);
    const scratch = this.#scratch;
    if (!isPrintable(scratch, 0, tenantEnd)) return undefined;
    if (!isPrintable(scratch, tenantEnd + 1, serviceEnd) || !isPrintable(scratch, serviceEnd + 1, end))
      return undefined;
    scratch[tenantEnd] = scratch[serviceEnd] = slash;
    const name = scratch.toString('latin1', 0, end);
    return {
      name,
      tenant: name.slice(0, tenantEnd),
      service: name.slice(tenantEnd + 1, serviceEnd),
      environment: name.slice(serviceEnd + 1),
    };
  }

  /** Where it ends in the scratch. */
  #copyText(fieldAt: number, end: number, at: number): number {
    let to = at;
    for (let from = fieldAt + fieldHeadBytes; from < end; from++) this.#scratch[to++] = this.#bytes[from] ?? 0;
    return to;
  }
}

function isPrintable(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x20 || byte > 0x7e) return false;
  }
  return true;
}

/** Printable ASCII; '' when it is not. */
export function printableText(bytes: Buffer, start: number, end: number): string {
  return isPrintable(bytes, start, end) ? bytes.toString('latin1', start, end) : '';
}
