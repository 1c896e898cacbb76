import { huffmanBytes, huffmanEncode } from '../../sidecar/wire/hpack/huffman-encode.ts';
import { writeInteger, type IntegerShape } from '../../sidecar/wire/hpack/integer.ts';
import { staticFields, staticNames, staticTable } from '../../sidecar/wire/hpack/static-table.ts';
import type { Dice } from './dice.ts';

type Pair = readonly [name: string, value: string];

const indexed: IntegerShape = { flags: 0x80, mask: 0x7f };
const sizeUpdate: IntegerShape = { flags: 0x20, mask: 0x1f };
/** RFC 7541 §6.2: with indexing, without, never. */
const literals: readonly (IntegerShape & { readonly isAdded: boolean })[] = [
  { flags: 0x40, mask: 0x3f, isAdded: true },
  { flags: 0x00, mask: 0x0f, isAdded: false },
  { flags: 0x10, mask: 0x0f, isAdded: false },
];
const tableSizes = [0, 64, 200, 4_096] as const;
const overheadBytes = 32;

/** Writes header blocks in all the ways that HPACK has, each as likely as the other; its table is kept in the plainest way. */
export class HeaderWriter {
  readonly #dice: Dice;
  #table: Pair[] = [];
  #bytes = 0;
  #bytesMax = 4_096;

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  block(pairs: readonly Pair[]): Buffer {
    const parts = pairs.map((pair) => () => this.#field(pair));
    if (this.#dice.chance(0.05)) parts.unshift(() => this.#resize(this.#dice.pick(tableSizes)));
    return Buffer.concat(parts.map((write) => write()));
  }

  #field(pair: Pair): Buffer {
    const [name, value] = pair;
    const inTable = this.#table.findIndex((each) => each[0] === name && each[1] === value);
    const whole = staticFields.get(`${name}\0${value}`) ?? (inTable < 0 ? 0 : staticTable.length + 1 + inTable);
    if (whole > 0 && this.#dice.chance(0.7)) return integer(whole, indexed);
    const nameInTable = this.#table.findIndex((each) => each[0] === name);
    const named = nameInTable < 0 ? staticNames.get(name) : staticTable.length + 1 + nameInTable;
    const nameIndex = this.#dice.chance(0.7) ? (named ?? 0) : 0;
    const shape = this.#dice.pick(literals);
    const written = nameIndex === 0 ? [this.#text(name)] : [];
    if (shape.isAdded) this.#add(pair);
    return Buffer.concat([integer(nameIndex, shape), ...written, this.#text(value)]);
  }

  #text(text: string): Buffer {
    if (this.#dice.chance(0.5))
      return Buffer.concat([integer(text.length, { flags: 0, mask: 0x7f }), Buffer.from(text, 'latin1')]);
    const bytes = Buffer.alloc(huffmanBytes(text));
    huffmanEncode(text, bytes, 0);
    return Buffer.concat([integer(bytes.length, { flags: 0x80, mask: 0x7f }), bytes]);
  }

  #resize(bytesMax: number): Buffer {
    this.#bytesMax = bytesMax;
    this.#evict();
    return integer(bytesMax, sizeUpdate);
  }

  #add(pair: Pair): void {
    this.#table.unshift(pair);
    this.#bytes += bytesOf(pair);
    this.#evict();
  }

  #evict(): void {
    for (let last = this.#table.at(-1); last !== undefined && this.#bytes > this.#bytesMax; last = this.#table.at(-1)) {
      this.#table.pop();
      this.#bytes -= bytesOf(last);
    }
  }
}

function bytesOf([name, value]: Pair): number {
  return name.length + value.length + overheadBytes;
}

function integer(value: number, shape: IntegerShape): Buffer {
  const bytes = Buffer.alloc(8);
  return bytes.subarray(0, writeInteger(bytes, 0, value, shape));
}
