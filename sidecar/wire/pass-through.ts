import type { Connection } from './connection.ts';
import type { ErrorName } from './error-code.ts';
import type { HeaderList } from './header-list.ts';
import type { HeaderField } from './hpack/header-field.ts';
import type { Stream, StreamConsumer } from './stream.ts';

/** What may wait on the far side before the near one is held up. */
export type PassThroughOptions = { readonly backlogBytes: number };

/** Carries a stream that a client has opened over another connection, frame by frame, with the windows of both honoured. */
export function passThrough(near: Stream, list: HeaderList, isLast: boolean, to: PassThroughTarget): void {
  if (to.connection === undefined) return near.reset('REFUSED_STREAM');
  const outward = new Half(near, to);
  const inward = new Half(undefined, to);
  near.consumer = outward;
  const fields = to.added === undefined ? list.fields : [...list.fields, to.added];
  const far = to.connection.open(fields, isLast, inward);
  outward.join(far);
  inward.join(near);
  inward.own(far);
}

/** No connection: all that there may be are full, and the client may try again. */
export type PassThroughTarget = PassThroughOptions & {
  readonly connection: Connection | undefined;
  /** Goes with the headers of the caller, after them. */
  readonly added?: HeaderField;
};

/** One direction: what comes on one stream goes out on the other. */
class Half implements StreamConsumer {
  readonly #options: PassThroughOptions;
  #from: Stream | undefined;
  #to: Stream | undefined;
  /** Received, and not given back yet because the other side cannot keep up. */
  #heldBytes = 0;

  constructor(from: Stream | undefined, options: PassThroughOptions) {
    this.#from = from;
    this.#options = options;
  }

  own(from: Stream): void {
    this.#from = from;
  }

  join(to: Stream): void {
    this.#to = to;
  }

  headers(list: HeaderList, isLast: boolean): void {
    if (isLast) this.#to?.sendTrailers(list.fields);
    else this.#to?.sendHeaders(list.fields, false);
  }

  data(buffer: Buffer, start: number, end: number, isLast: boolean): void {
    const to = this.#to;
    if (to === undefined) return;
    // A copy: it may have to wait, and the buffer is used again.
    to.sendData(Buffer.from(buffer.subarray(start, end)), isLast);
    this.#heldBytes += end - start;
    if (to.queuedBytes <= this.#options.backlogBytes) this.giveBack();
  }

  /** The other side can take more of what comes on this one. */
  giveBack(): void {
    const held = this.#heldBytes;
    this.#heldBytes = 0;
    if (held > 0) this.#from?.used(held);
  }

  reset(error: ErrorName): void {
    this.#to?.reset(error);
  }

  drained(): void {
    // What has gone out on our stream came from the other one.
    const other = this.#to?.consumer;
    if (other instanceof Half) other.giveBack();
  }
}
