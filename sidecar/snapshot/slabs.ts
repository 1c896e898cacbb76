/** Where a block lies. */
export type Place = { readonly slab: Slab; readonly start: number };

/** A large piece of memory, cut into slots of one size. */
export type Slab = {
  readonly buffer: Buffer;
  /** Its place among all slabs, from 1 on: that of no other as long as it is there. */
  readonly number: number;
  readonly slotBytes: number;
  readonly slots: number;
  used: number;
  /** Slots from here on were never used, so their pages are not in memory yet. */
  fresh: number;
  /** Slots that were used and given back. */
  readonly free: number[];
};

/** 256 KiB: 0.3 % of the default bound, so that the slabs which are not full yet, one for each slot size in use, do not matter. */
const slabBytes = 256 * 1024;
/** Larger blocks have a slab each: fewer than eight of them in one would waste up to an eighth of it. */
const sharedSlotBytesMax = slabBytes / 8;
/** Below this, slots differ by a quarter of it: 16 bytes. */
const slotBytesMin = 64;

const slotsMax = slabBytes / slotBytesMin;
const slotBits = Math.log2(slotsMax);
const noSlab: Slab = { buffer: Buffer.alloc(0), number: 0, slotBytes: 0, slots: 0, used: 0, fresh: 0, free: [] };

/** A place as 32 bits, never 0, for a table of them. Of 1,048,576 slabs: 16 GiB of the smallest that are not shared, twice. */
export function packPlace({ slab, start }: Place): number {
  return (slab.number << slotBits) | (start / slab.slotBytes);
}

/**
 * Memory for blocks of bytes in a few large pieces. A Buffer for each of 100,000 blocks would be as many objects with a destructor,
 * which the garbage collector visits. Slots of one slab have one size, an eighth
 * apart from the next, so a block wastes at most an eighth, and what is given back fits the next block of its size; a slab goes
 * back to the system when nothing is left in it.
 */
export class Slabs {
  /** By slot size: slabs that have room. */
  readonly #open = new Map<number, Slab[]>();
  /** By number. */
  readonly #slabs: Slab[] = [noSlab];
  readonly #freeNumbers: number[] = [];
  #bytes = 0;

  /** Bytes taken from the system. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The slab of a packed place. */
  slabOf(packed: number): Slab {
    return this.#slabs[packed >>> slotBits] ?? noSlab;
  }

  /** A slot for so many bytes. */
  take(bytes: number): Place {
    const slotBytes = slotBytesOf(bytes);
    const slab = this.#openSlab(slotBytes);
    const slot = slab.free.pop() ?? slab.fresh++;
    slab.used++;
    if (slab.used === slab.slots) this.#close(slab);
    return { slab, start: slot * slotBytes };
  }

  /** Gives a slot back: whatever still refers to it reads other blocks from now on. */
  release({ slab, start }: Place): void {
    if (slab.used === slab.slots) this.#openOf(slab.slotBytes).push(slab);
    slab.used--;
    if (slab.used > 0) slab.free.push(start / slab.slotBytes);
    else {
      this.#close(slab);
      this.#slabs[slab.number] = noSlab;
      this.#freeNumbers.push(slab.number);
      this.#bytes -= slab.buffer.length;
    }
  }

  #openOf(slotBytes: number): Slab[] {
    let open = this.#open.get(slotBytes);
    if (open === undefined) this.#open.set(slotBytes, (open = []));
    return open;
  }

  #openSlab(slotBytes: number): Slab {
    const open = this.#openOf(slotBytes);
    const last = open.at(-1);
    if (last !== undefined) return last;
    const slots = slotBytes > sharedSlotBytesMax ? 1 : Math.floor(slabBytes / slotBytes);
    // Slow: not from Node's pool, so that its pages are untouched until they are used.
    const buffer = Buffer.allocUnsafeSlow(slots * slotBytes);
    const number = this.#freeNumbers.pop() ?? this.#slabs.length;
    const slab: Slab = { buffer, number, slotBytes, slots, used: 0, fresh: 0, free: [] };
    this.#slabs[number] = slab;
    this.#bytes += buffer.length;
    open.push(slab);
    return slab;
  }

  #close(slab: Slab): void {
    const open = this.#openOf(slab.slotBytes);
    const index = open.indexOf(slab);
    if (index >= 0) open.splice(index, 1);
  }
}

/** Where a packed place begins in its slab. */
export function startOf(packed: number, slab: Slab): number {
  return Math.imul(packed & (slotsMax - 1), slab.slotBytes);
}

/** What a block of so many bytes takes: the next of the sizes, eight of which lie between two powers of two. */
export function slotBytesOf(bytes: number): number {
  const size = Math.max(bytes, slotBytesMin);
  const step = 2 ** (Math.floor(Math.log2(size)) - 3);
  return Math.ceil(size / step) * step;
}
