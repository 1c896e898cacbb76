import type { HeaderList } from './header-list.ts';
import type { HeaderDecoder } from './hpack/header-decoder.ts';

type Known = { readonly bytes: Buffer; readonly version: number; readonly list: HeaderList };

/** Blocks that are kept, and the longest: 4 x (256 B + about 1 KiB of fields) a connection that uses them. */
const keptMax = 4;
const bytesMax = 256;
/** After so many misses in a row only every so manyth block is looked for and kept: where every call differs, both are wasted. */
const missesMax = 16;
const sampleEvery = 16;

/**
 * Decodes header blocks, and knows some that came before. The same bytes mean the same fields as long as no index has changed
 * its meaning, and if decoding them changed nothing: then neither does not decoding them.
 */
export class BlockCache {
  readonly #decoder: HeaderDecoder;
  readonly #known: Known[] = [];
  #next = 0;
  #misses = 0;

  constructor(decoder: HeaderDecoder) {
    this.#decoder = decoder;
  }

  decode(buffer: Buffer, start: number, end: number): HeaderList {
    const isWorthIt = this.#misses < missesMax || this.#misses % sampleEvery === 0;
    const found = isWorthIt ? this.#find(buffer, start, end) : undefined;
    if (found !== undefined) return found;
    const list = this.#decoder.decode(buffer, start, end);
    this.#misses++;
    if (isWorthIt && this.#decoder.isPure && end - start <= bytesMax && !list.isTooLarge) {
      const bytes = Buffer.from(buffer.subarray(start, end));
      this.#known[this.#next] = { bytes, version: this.#decoder.version, list };
      this.#next = (this.#next + 1) % keptMax;
    }
    return list;
  }

  #find(buffer: Buffer, start: number, end: number): HeaderList | undefined {
    for (const { bytes, version, list } of this.#known) {
      if (bytes.length !== end - start || version !== this.#decoder.version || !isAt(bytes, buffer, start)) continue;
      this.#misses = 0;
      return list;
    }
    return undefined;
  }
}

/**
 * A loop: for blocks of a few dozen bytes it takes less than a call out of JavaScript. From the end, because pseudo-headers, which are
 * the same in most calls, come first.
 */
function isAt(bytes: Buffer, buffer: Buffer, start: number): boolean {
  for (let index = bytes.length - 1; index >= 0; index--) if (bytes[index] !== buffer[start + index]) return false;
  return true;
}
