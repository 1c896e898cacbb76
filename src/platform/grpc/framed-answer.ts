import { Buffer } from 'node:buffer';
import { prefixBytes } from './frame.ts';
import type { AnswerPlace, BegunAnswer, Instant } from './handlers.ts';

/** What an instant answers, in a buffer of its own and as it stands in a gRPC stream. */
export function framedAnswer(instant: Instant, request: Buffer): Buffer | BegunAnswer | undefined {
  const place = new FramedPlace();
  const answer = instant(request, place);
  return answer === 'answered' ? place.target : answer;
}

class FramedPlace implements AnswerPlace {
  target: Buffer = Buffer.alloc(0);
  readonly at = prefixBytes;

  reserve(bytes: number): void {
    this.target = Buffer.allocUnsafe(prefixBytes + bytes);
    this.target[0] = 0;
    this.target.writeUInt32BE(bytes, 1);
  }
}
