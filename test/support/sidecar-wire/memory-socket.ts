import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';

/** A socket without a kernel or a turn of the loop: what is written is there at once, unless it is stuck. For millions of connections. */
export class MemorySocket extends EventEmitter {
  readonly #written: Buffer[] = [];
  readonly #received: Buffer[] = [];
  /** Not copied yet: whoever writes into them before they have gone out is found out. */
  #stuck: Buffer[] = [];
  #isStuck = false;
  writableLength = 0;
  isDestroyed = false;

  get writable(): boolean {
    return !this.isDestroyed;
  }

  /** All that has gone out so far. */
  get written(): readonly Buffer[] {
    return this.#written;
  }

  /** All that the peer has said so far. */
  get received(): readonly Buffer[] {
    return this.#received;
  }

  /** As the engine takes it: it uses no more of a Duplex than this has. */
  asDuplex(): Duplex {
    return this as unknown as Duplex;
  }

  /** Bytes from the peer. */
  receive(bytes: Buffer): void {
    if (this.isDestroyed) return;
    this.#received.push(bytes);
    this.emit('data', bytes);
  }

  /** The peer reads nothing, until `drain`. */
  stick(): void {
    this.#isStuck = true;
  }

  drain(): void {
    this.#isStuck = false;
    for (const bytes of this.#stuck) this.#written.push(Buffer.from(bytes));
    this.#stuck = [];
    this.writableLength = 0;
    if (!this.isDestroyed) this.emit('drain');
  }

  write(bytes: Buffer): boolean {
    if (this.#isStuck) {
      this.writableLength += bytes.length;
      this.#stuck.push(bytes);
      return false;
    }
    // A copy: the engine uses its buffer again.
    this.#written.push(Buffer.from(bytes));
    return true;
  }

  end(): void {}
  pause(): void {}
  resume(): void {}

  destroy(): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    this.emit('close');
  }
}
