import { ConnectionError } from '../error-code.ts';
import { HeaderList } from '../header-list.ts';
import { DynamicTable, tableBytesDefault } from './dynamic-table.ts';
import { FieldName } from './field-name.ts';
import { isFieldValue } from './field-value.ts';
import { type FieldOptions, HeaderField } from './header-field.ts';
import { huffmanDecode } from './huffman-decode.ts';
import { IntegerReader } from './integer.ts';
import { NameMemory } from './name-memory.ts';
import { staticTable } from './static-table.ts';

export type HeaderDecoderOptions = {
  /** Our SETTINGS_HEADER_TABLE_SIZE: what the peer's table may take of our memory. */
  readonly tableBytesMax: number;
  /** Our SETTINGS_MAX_HEADER_LIST_SIZE. */
  readonly listBytesMax: number;
};

const malformed: FieldOptions = { isValueWellFormed: false };
const wellFormed: FieldOptions = { isValueWellFormed: true };
const neverIndexedMalformed: FieldOptions = { ...malformed, isNeverIndexed: true };
const neverIndexedWellFormed: FieldOptions = { ...wellFormed, isNeverIndexed: true };

/** Values are cut from a text of so much at most: each of them keeps all of it. */
const textBytesMax = 1_024;
/** Huffman's shortest code is 5 bits for 8. */
const growthMax = 8 / 5;
/** All decoders decode into it: nothing of it outlives a call. */
let scratch = Buffer.allocUnsafeSlow(16 * 1024);
const names = new NameMemory();

type Literal = 'added' | 'not_added' | 'never_added';

function optionsOf(kind: Literal, isWellFormed: boolean): FieldOptions {
  if (kind === 'never_added') return isWellFormed ? neverIndexedWellFormed : neverIndexedMalformed;
  return isWellFormed ? wellFormed : malformed;
}

/** Decodes the header blocks of one direction of a connection: RFC 7541 §3 and §6. Throws COMPRESSION_ERROR. */
export class HeaderDecoder {
  readonly #options: HeaderDecoderOptions;
  readonly #table: DynamicTable;
  readonly #integers = new IntegerReader();
  #buffer: Buffer = scratch;
  #end = 0;
  #isPure = true;
  /** The rest of the block from its first value in plain text on: one call out of JavaScript makes the strings of all of them. */
  #text: string | undefined;
  #textFrom = 0;
  #isLastValueWellFormed = true;
  /** What the peer's table may take. Until it has seen our SETTINGS, it has the default at least. */
  #tableBytesMax: number;

  constructor(options: HeaderDecoderOptions) {
    this.#options = options;
    this.#tableBytesMax = Math.max(options.tableBytesMax, tableBytesDefault);
    this.#table = new DynamicTable(this.#tableBytesMax);
  }

  /** The peer has seen our SETTINGS: from here on its table is not larger than they say. */
  limitTable(): void {
    this.#tableBytesMax = this.#options.tableBytesMax;
  }

  /** Changes whenever the same bytes may come to mean something else. */
  get version(): number {
    return this.#table.version;
  }

  /** Whether the last block left the table as it was: the same bytes mean the same until the version changes. */
  get isPure(): boolean {
    return this.#isPure;
  }

  decode(buffer: Buffer, start: number, end: number): HeaderList {
    this.#buffer = buffer;
    this.#end = end;
    this.#integers.at = start;
    this.#text = undefined;
    const before = this.#table.version;
    const fields: HeaderField[] = [];
    let bytes = 0;
    this.#readSizeUpdates();
    // RFC 9113 §4.3.1: who was told to have a smaller table says so first.
    if (this.#table.bytesMax > this.#tableBytesMax)
      throw new ConnectionError(
        'COMPRESSION_ERROR',
        `a table of ${this.#table.bytesMax} bytes is larger than we allow`,
      );
    while (this.#integers.at < end) {
      const field = this.#readField();
      bytes += field.bytes;
      // The rest is read all the same: the table must stay what the peer takes it for.
      if (bytes <= this.#options.listBytesMax) fields.push(field);
    }
    this.#isPure = this.#table.version === before;
    this.#text = undefined;
    return new HeaderList(fields, bytes > this.#options.listBytesMax);
  }

  /** §4.2: only at the beginning of a block. */
  #readSizeUpdates(): void {
    while (this.#integers.at < this.#end) {
      const byte = this.#buffer[this.#integers.at] as number;
      if ((byte & 0xe0) !== 0x20) return;
      this.#integers.at++;
      const size = this.#integer(byte, 0x1f);
      if (size > this.#tableBytesMax)
        throw new ConnectionError('COMPRESSION_ERROR', `a table of ${size} bytes is larger than we allow`);
      this.#table.resize(size);
    }
  }

  #readField(): HeaderField {
    const byte = this.#buffer[this.#integers.at++] as number;
    // §6.1: an index.
    if ((byte & 0x80) !== 0) return this.#fieldAt(this.#integer(byte, 0x7f));
    // §6.2.1: a literal that is added to the table.
    if ((byte & 0x40) !== 0) {
      const field = this.#readLiteral(this.#integer(byte, 0x3f), 'added');
      this.#table.add(field);
      return field;
    }
    if ((byte & 0x20) !== 0) throw new ConnectionError('COMPRESSION_ERROR', 'a table size update after a field');
    // §6.2.2 and §6.2.3: a literal that is not added; whether it never may be matters to those who pass it on.
    return this.#readLiteral(this.#integer(byte, 0x0f), (byte & 0x10) !== 0 ? 'never_added' : 'not_added');
  }

  #readLiteral(nameIndex: number, kind: Literal): HeaderField {
    const name = nameIndex === 0 ? this.#readName() : this.#fieldAt(nameIndex).fieldName;
    // What stays in the table must not keep the text of a whole block.
    const value = this.#readValue(kind !== 'added');
    return new HeaderField(name, value, optionsOf(kind, this.#isLastValueWellFormed));
  }

  #fieldAt(index: number): HeaderField {
    const field = index <= staticTable.length ? staticTable[index - 1] : this.#table.at(index - staticTable.length);
    if (field === undefined) throw new ConnectionError('COMPRESSION_ERROR', `no field has index ${index}`);
    return field;
  }

  #readName(): FieldName {
    const from = this.#integers.at;
    const start = this.#beginString();
    const end = this.#integers.at;
    // With its length and form: the same bytes may be a name in each.
    const known = names.find(this.#buffer, from, end);
    if (known !== undefined) return known;
    const isHuffman = ((this.#buffer[from] as number) & 0x80) !== 0;
    const name = new FieldName(isHuffman ? this.#decoded(start, end) : this.#buffer.toString('latin1', start, end));
    names.keep(name, this.#buffer, from, end);
    return name;
  }

  #readValue(mayCut: boolean): string {
    const isHuffman = ((this.#buffer[this.#integers.at] as number) & 0x80) !== 0;
    const start = this.#beginString();
    const end = this.#integers.at;
    if (isHuffman) {
      const bytes = this.#decode(start, end);
      this.#isLastValueWellFormed = isFieldValue(scratch, 0, bytes);
      return scratch.toString('latin1', 0, bytes);
    }
    this.#isLastValueWellFormed = isFieldValue(this.#buffer, start, end);
    return mayCut ? this.#cut(start, end) : this.#buffer.toString('latin1', start, end);
  }

  #cut(start: number, end: number): string {
    if (this.#text === undefined) {
      if (this.#end - start > textBytesMax) return this.#buffer.toString('latin1', start, end);
      this.#text = this.#buffer.toString('latin1', start, this.#end);
      this.#textFrom = start;
    }
    return this.#text.slice(start - this.#textFrom, end - this.#textFrom);
  }

  /** §5.2: reads the length of a string, and goes to its end; answers where its first byte is. */
  #beginString(): number {
    if (this.#integers.at >= this.#end) throw new ConnectionError('COMPRESSION_ERROR', 'a string is missing');
    const bytes = this.#integer(this.#buffer[this.#integers.at++] as number, 0x7f);
    const start = this.#integers.at;
    if (start + bytes > this.#end) throw new ConnectionError('COMPRESSION_ERROR', 'a string ends after its block');
    this.#integers.at = start + bytes;
    return start;
  }

  #decoded(start: number, end: number): string {
    // First, for it may take another scratch: the text of the old one is of other callers.
    const bytes = this.#decode(start, end);
    return scratch.toString('latin1', 0, bytes);
  }

  /** Into the scratch; answers how many bytes it has become. */
  #decode(start: number, end: number): number {
    const room = (end - start) * growthMax;
    if (scratch.length < room) scratch = Buffer.allocUnsafeSlow(Math.ceil(room) * 2);
    const decoded = huffmanDecode(this.#buffer, start, end, scratch);
    if (decoded < 0) throw new ConnectionError('COMPRESSION_ERROR', 'a string is no Huffman code');
    return decoded;
  }

  #integer(byte: number, mask: number): number {
    return this.#integers.read(this.#buffer, this.#end, byte & mask, mask);
  }
}
