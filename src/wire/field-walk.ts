import { WireType } from '@bufbuild/protobuf/wire';
import { readVarint } from './varint.ts';

/**
 * Walks over the fields of one protobuf message without making anything of them. Throws when a field ends behind the message, or is
 * none that anybody writes: then the bytes are no message, and what they say goes for nothing.
 */
export class FieldWalk {
  readonly bytes: Buffer;
  /** The field's tag: its number and its wire type. */
  tag = 0;
  /** Where the field begins, with its tag. */
  at: number;
  /** Where its value begins: that of a text, of bytes or of a message behind its length. */
  start = 0;
  /** Where the value ends. */
  end = 0;
  readonly #last: number;
  #next: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.bytes = bytes;
    this.at = this.#next = start;
    this.#last = end;
  }

  /** To the next field; false: there is none. */
  next(): boolean {
    if (this.#next >= this.#last) return false;
    this.at = this.#next;
    this.start = endOfVarint(this.bytes, this.at);
    this.tag = readVarint(this.bytes, this.at);
    if (this.tag < 8 || this.tag > 0xffff_ffff) throw new Error('a field has no number that a field can have');
    const type: WireType = this.tag & 7;
    switch (type) {
      case WireType.Varint:
        this.end = endOfVarint(this.bytes, this.start);
        break;
      case WireType.LengthDelimited: {
        const lengthAt = this.start;
        this.start = endOfVarint(this.bytes, lengthAt);
        this.end = this.start + readVarint(this.bytes, lengthAt);
        break;
      }
      case WireType.Bit64:
        this.end = this.start + 8;
        break;
      case WireType.Bit32:
        this.end = this.start + 4;
        break;
      case WireType.StartGroup:
      case WireType.EndGroup:
      default:
        throw new Error(`a field has the wire type ${type}, which nobody writes`);
    }
    if (this.end > this.#last) throw new Error('a field ends behind its message');
    this.#next = this.end;
    return true;
  }

  /** The value as a whole number of 0 or more. */
  number(): number {
    return readVarint(this.bytes, this.start);
  }

  text(): string {
    return this.bytes.toString('utf8', this.start, this.end);
  }
}

/** The values of all fields of a message with one tag, and the message without them. */
export function splitFields(
  bytes: Buffer,
  { start, end }: { readonly start: number; readonly end: number },
  tag: number,
): { readonly values: readonly { readonly start: number; readonly end: number }[]; readonly rest: Buffer } {
  const values: { start: number; end: number }[] = [];
  const rest: Buffer[] = [];
  const walk = new FieldWalk(bytes, start, end);
  while (walk.next()) {
    if (walk.tag === tag) values.push({ start: walk.start, end: walk.end });
    else rest.push(bytes.subarray(walk.at, walk.end));
  }
  return { values, rest: Buffer.concat(rest) };
}

/** Negative numbers have as many. */
const varintBytesMax = 10;

/** Where the varint ends that begins here. A longer one would be no number any more, but Infinity or NaN, which no walk gets past. */
function endOfVarint(bytes: Buffer, at: number): number {
  let end = at;
  while ((bytes[end] ?? 0) >= 0x80) end++;
  if (end - at >= varintBytesMax) throw new Error(`a varint has more than ${varintBytesMax} bytes`);
  return end + 1;
}
