import { ConnectionError } from '../error-code.ts';
import { HeaderList } from '../header-list.ts';
import { DynamicTable } from './dynamic-table.ts';
import { HeaderField } from './header-field.ts';
import { huffmanDecode } from './huffman-decode.ts';
import { IntegerReader } from './integer.ts';
import { staticTable } from './static-table.ts';

export type HeaderDecoderOptions = {
  /** Our SETTINGS_HEADER_TABLE_SIZE: what the peer's table may take of our memory. */
  readonly tableBytesMax: number;
  /** Our SETTINGS_MAX_HEADER_LIST_SIZE. */
  readonly listBytesMax: number;
};

const neverIndexed = { isNeverIndexed: true } as const;

/** Huffman's shortest code is 5 bits for 8. */
const growthMax = 8 / 5;
/** All decoders decode into it: nothing of it outlives a call. */
let scratch = Buffer.allocUnsafeSlow(16 * 1024);

/** Decodes the header blocks of one direction of a connection: RFC 7541 §3 and §6. Throws COMPRESSION_ERROR. */
export class HeaderDecoder {
  readonly #options: HeaderDecoderOptions;
  readonly #table: DynamicTable;
  readonly #integers = new IntegerReader();
  #buffer: Buffer = scratch;
  #end = 0;
  #isPure = true;

  constructor(options: HeaderDecoderOptions) {
    this.#options = options;
    this.#table = new DynamicTable(options.tableBytesMax);
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
    const before = this.#table.version;
    const fields: HeaderField[] = [];
    let bytes = 0;
    this.#readSizeUpdates();
    while (this.#integers.at < end) {
      const field = this.#readField();
      bytes += field.bytes;
      // The rest is read all the same: the table must stay what the peer takes it for.
      if (bytes <= this.#options.listBytesMax) fields.push(field);
    }
    this.#isPure = this.#table.version === before;
    return new HeaderList(fields, bytes > this.#options.listBytesMax);
  }

  /** §4.2: only at the beginning of a block. */
  #readSizeUpdates(): void {
    while (this.#integers.at < this.#end) {
      const byte = this.#buffer[this.#integers.at] as number;
      if ((byte & 0xe0) !== 0x20) return;
      this.#integers.at++;
      const size = this.#integer(byte, 0x1f);
      if (size > this.#options.tableBytesMax)
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
      const field = this.#readLiteral(this.#integer(byte, 0x3f));
      this.#table.add(field);
      return field;
    }
    if ((byte & 0x20) !== 0) throw new ConnectionError('COMPRESSION_ERROR', 'a table size update after a field');
    // §6.2.2 and §6.2.3: a literal that is not added; whether it never may be matters to those who pass it on.
    return this.#readLiteral(this.#integer(byte, 0x0f), (byte & 0x10) !== 0 ? neverIndexed : undefined);
  }

  #readLiteral(nameIndex: number, options?: typeof neverIndexed): HeaderField {
    const name = nameIndex === 0 ? this.#readString() : this.#fieldAt(nameIndex).name;
    return new HeaderField(name, this.#readString(), options);
  }

  #fieldAt(index: number): HeaderField {
    const field = index <= staticTable.length ? staticTable[index - 1] : this.#table.at(index - staticTable.length);
    if (field === undefined) throw new ConnectionError('COMPRESSION_ERROR', `no field has index ${index}`);
    return field;
  }

  /** §5.2. */
  #readString(): string {
    if (this.#integers.at >= this.#end) throw new ConnectionError('COMPRESSION_ERROR', 'a string is missing');
    const byte = this.#buffer[this.#integers.at++] as number;
    const bytes = this.#integer(byte, 0x7f);
    const from = this.#integers.at;
    const to = from + bytes;
    if (to > this.#end) throw new ConnectionError('COMPRESSION_ERROR', 'a string ends after its block');
    this.#integers.at = to;
    if ((byte & 0x80) === 0) return this.#buffer.toString('latin1', from, to);
    if (scratch.length < bytes * growthMax) scratch = Buffer.allocUnsafeSlow(Math.ceil(bytes * growthMax) * 2);
    const decoded = huffmanDecode(this.#buffer, from, to, scratch);
    if (decoded < 0) throw new ConnectionError('COMPRESSION_ERROR', 'a string is no Huffman code');
    return scratch.toString('latin1', 0, decoded);
  }

  #integer(byte: number, mask: number): number {
    return this.#integers.read(this.#buffer, this.#end, byte & mask, mask);
  }
}
