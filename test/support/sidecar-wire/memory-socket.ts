import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';

/** A socket without a kernel, a queue or a turn of the loop: what is written is there at once. For millions of connections. */
export class MemorySocket extends EventEmitter {
  readonly writable = true;
  readonly writableLength = 0;
  readonly written: Buffer[] = [];
  isDestroyed = false;

  /** As the engine takes it: it uses no more of a Duplex than this has. */
  asDuplex(): Duplex {
    return this as unknown as Duplex;
  }

  /** Bytes from the peer. */
  receive(bytes: Buffer): void {
    this.emit('data', bytes);
  }

  write(bytes: Buffer): boolean {
    // A copy: the engine uses its buffer again.
    this.written.push(Buffer.from(bytes));
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
