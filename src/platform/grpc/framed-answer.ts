import { Buffer } from 'node:buffer';
import type { AnswerPlace } from './handlers.ts';
import { prefixBytes } from './frame.ts';

const noBytes: Buffer = Buffer.alloc(0);

/** An instant's answer in a buffer of its own, as it stands in a gRPC stream. */
export class FramedAnswer implements AnswerPlace {
  target = noBytes;
  readonly at = prefixBytes;

  reserve(bytes: number): void {
    this.target = Buffer.allocUnsafe(prefixBytes + bytes);
    this.target[0] = 0;
    this.target.writeUInt32BE(bytes, 1);
  }
}
