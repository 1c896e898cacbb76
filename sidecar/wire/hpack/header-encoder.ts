import { DynamicTable, tableBytesDefault } from './dynamic-table.ts';
import type { HeaderField } from './header-field.ts';
import { huffmanBytes, huffmanEncode } from './huffman-encode.ts';
import { writeInteger } from './integer.ts';
import { staticFields, staticNames, staticTable } from './static-table.ts';

/** Said once, then an index: for fields that come again with every call. Its object is what is recognised, not its text. */
export type Repeated = ReadonlySet<HeaderField>;

const indexed = { flags: 0x80, mask: 0x7f } as const;
const added = { flags: 0x40, mask: 0x3f } as const;
const notAdded = { flags: 0x00, mask: 0x0f } as const;
/** §6.2.3: not added here, nor by anyone who passes it on. */
const neverAdded = { flags: 0x10, mask: 0x0f } as const;
const sizeUpdate = { flags: 0x20, mask: 0x1f } as const;
const plainString = { flags: 0x00, mask: 0x7f } as const;
const huffmanString = { flags: 0x80, mask: 0x7f } as const;

/** A field's octets besides its name and value: three integers of five bytes at most. */
const fieldBytesOverhead = 15;
/** Two sizes that are announced take no more. */
const announcementBytesMax = 12;
/** Shorter texts are written by a loop: it takes less than a call out of JavaScript. */
const loopBytesMax = 64;

/** Where the block that is being encoded goes, by whichever encoder; nothing refers to it afterwards. */
let target: Buffer = Buffer.alloc(0);

/**
 * Encodes the header blocks of one direction of a connection: RFC 7541 §6. Only fields that were named as repeated go into
 * the table: what differs from call to call would drive the others out, and secrets must not be there (§7.1).
 */
export class HeaderEncoder {
  readonly #table: DynamicTable;
  readonly #tableBytesMax: number;
  readonly #repeated: Repeated;
  /** Of a repeated field the number under which the dynamic table got it, or its index in the static one, negative. */
  readonly #places = new Map<HeaderField, number>();
  /** Sizes that the next block must announce: §4.2 wants the smallest in between, too. */
  #announcements: readonly number[];

  constructor({ tableBytesMax, repeated }: { tableBytesMax: number; repeated: Repeated }) {
    this.#table = new DynamicTable(tableBytesMax);
    this.#tableBytesMax = tableBytesMax;
    // The peer's begins with the default.
    this.#announcements = tableBytesMax < tableBytesDefault ? [tableBytesMax] : [];
    this.#repeated = repeated;
    for (const field of repeated) {
      const index = staticFields.get(`${field.name}\0${field.value}`);
      if (index !== undefined) this.#places.set(field, -index);
    }
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE; more than we want to hold is not used. */
  allowTable(bytes: number): void {
    const size = Math.min(bytes, this.#tableBytesMax);
    if (size === this.#table.bytesMax && this.#announcements.length === 0) return;
    this.#table.resize(size);
    const smallest = Math.min(size, ...this.#announcements);
    this.#announcements = smallest < size ? [smallest, size] : [size];
  }

  /** The block of some fields. */
  encode(fields: readonly HeaderField[]): Buffer {
    const block = Buffer.allocUnsafeSlow(this.bytesMaxOf(fields));
    return block.subarray(0, this.write(fields, block, 0));
  }

  /** What the block of some fields takes at most. */
  bytesMaxOf(fields: readonly HeaderField[]): number {
    let bytes = announcementBytesMax;
    for (const field of fields) bytes += field.bytes + fieldBytesOverhead;
    return bytes;
  }

  /** Writes the block of some fields to where there is room for `bytesMaxOf` them; answers where it ends. */
  write(fields: readonly HeaderField[], buffer: Buffer, start: number): number {
    target = buffer;
    let at = start;
    for (const size of this.#announcements) at = writeInteger(target, at, size, sizeUpdate);
    if (this.#announcements.length > 0) this.#announcements = [];
    for (const field of fields) at = this.#encodeField(field, at);
    return at;
  }

  #encodeField(field: HeaderField, at: number): number {
    if (field.isNeverIndexed) return literal(field, at, neverAdded);
    const place = this.#places.get(field);
    if (place !== undefined && place < 0) return writeInteger(target, at, -place, indexed);
    if (place !== undefined && this.#table.holds(place))
      return writeInteger(target, at, staticTable.length + this.#table.added - place + 1, indexed);
    if (this.#repeated.has(field) && field.bytes <= this.#table.bytesMax) {
      this.#table.add(field);
      this.#places.set(field, this.#table.added);
      return literal(field, at, added);
    }
    return literal(field, at, notAdded);
  }
}

function literal(
  { name, value }: HeaderField,
  at: number,
  kind: typeof added | typeof notAdded | typeof neverAdded,
): number {
  const nameIndex = staticNames.get(name) ?? 0;
  const isAdded = kind === added;
  let end = writeInteger(target, at, nameIndex, kind);
  if (nameIndex === 0) end = writeString(name, end, isAdded);
  return writeString(value, end, isAdded);
}

/** Huffman's code is worth its time for what is said once in the life of a connection only. */
function writeString(text: string, at: number, isAdded: boolean): number {
  const huffman = isAdded ? huffmanBytes(text) : text.length;
  if (huffman < text.length) return huffmanEncode(text, target, writeInteger(target, at, huffman, huffmanString));
  const start = writeInteger(target, at, text.length, plainString);
  if (text.length > loopBytesMax) return start + target.write(text, start, 'latin1');
  for (let index = 0; index < text.length; index++) target[start + index] = text.charCodeAt(index);
  return start + text.length;
}
