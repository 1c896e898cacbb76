import { WatchResponse } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import type { StreamWriter } from '../../src/platform/grpc/handlers.ts';

/** What Node's HTTP/2 streams hold before they say that they are full. */
const fullBytes = 64 * 1024;
const prefixBytes = 5;

/** The sending side of a call in memory: a test decides what its client reads, and when. */
export class FakeWatchStream implements StreamWriter<WatchResponse> {
  #waiting: Buffer[] = [];
  #onDrain: (() => void) | undefined;
  #full = false;
  /** True: the client reads everything at once. */
  reading: boolean;
  /** Everything that the client has read. */
  readonly received: WatchResponse[] = [];
  /** The buffers that were sent, as they were given: equal ones are shared with other streams. */
  readonly buffers: Buffer[] = [];
  /** Called with each message. */
  onSend: (() => void) | undefined;
  /** Messages that the client never got. */
  lost = 0;
  /** The most that ever waited here. */
  waitingBytesMax = 0;

  constructor({ reading = true }: { reading?: boolean } = {}) {
    this.reading = reading;
  }

  /** Bytes sent and not read. */
  get waitingBytes(): number {
    return this.#waiting.reduce((total, { length }) => total + length, 0);
  }

  send(start: Buffer, rest?: Buffer): boolean {
    this.buffers.push(start, ...(rest === undefined ? [] : [rest]));
    this.onSend?.();
    this.#waiting.push(rest === undefined ? start : Buffer.concat([start, rest]));
    this.waitingBytesMax = Math.max(this.waitingBytesMax, this.waitingBytes);
    if (this.reading) this.#take(this.#waiting.length);
    this.#full = this.waitingBytes >= fullBytes;
    return !this.#full;
  }

  onDrain(listener: () => void): void {
    this.#onDrain = listener;
  }

  write(): Promise<void> {
    return Promise.reject(new Error('a watch sends frames'));
  }

  /** The client reads so many messages; all when not said. A full stream that has become empty says so. */
  read(count = this.#waiting.length): void {
    this.#take(count);
    if (!this.#full || this.#waiting.length > 0) return;
    this.#full = false;
    this.#onDrain?.();
  }

  /** What was sent and not read is lost, as when a connection breaks. */
  lose(): void {
    this.lost += this.#waiting.length;
    this.#waiting = [];
  }

  #take(count: number): void {
    for (const frame of this.#waiting.splice(0, count)) {
      if (frame.readUInt32BE(1) !== frame.length - prefixBytes) throw new Error('a frame is not as long as it says');
      this.received.push(WatchResponse.decode(frame.subarray(prefixBytes)));
    }
  }
}
