/**
 * A cache bounded in bytes that costs one map look-up: values live in two generations, and when the young one has half of the
 * bound the old one is dropped as a whole. What is used again moves to the young one. (An LRU list would have to be kept in
 * order at every use, on paths that look something up for each of thousands of watchers.)
 */
export class GenerationCache<Key, Value> {
  readonly #generationBytesMax: number;
  readonly #bytesOf: (value: Value) => number;
  #young = new Map<Key, Value>();
  #old = new Map<Key, Value>();
  #youngBytes = 0;

  /** `bytesOf`: about what a value takes; what the entry takes besides is added. It must not change while it is held. */
  constructor({ bytesMax, bytesOf }: { bytesMax: number; bytesOf: (value: Value) => number }) {
    this.#generationBytesMax = bytesMax / 2;
    this.#bytesOf = bytesOf;
  }

  get(key: Key): Value | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  /** The value of a key, made when it is not here. */
  getOrMake(key: Key, make: () => Value): Value {
    const held = this.get(key);
    if (held !== undefined) return held;
    const made = make();
    this.set(key, made);
    return made;
  }

  /** Holds a value, unless it takes more than half of the bound. */
  set(key: Key, value: Value): void {
    const bytes = this.#bytesOf(value) + entryBytes;
    this.#delete(key);
    if (bytes > this.#generationBytesMax) return;
    if (this.#youngBytes + bytes > this.#generationBytesMax) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(key, value);
    this.#youngBytes += bytes;
  }

  #delete(key: Key): void {
    const young = this.#young.get(key);
    if (young !== undefined) this.#youngBytes -= this.#bytesOf(young) + entryBytes;
    this.#young.delete(key);
    this.#old.delete(key);
  }
}

/** A key and its place in a map. */
const entryBytes = 100;
