import type { StreamAcceptor } from '../../../sidecar/wire/connection-options.ts';
import type { ErrorName } from '../../../sidecar/wire/error-code.ts';
import type { HeaderList } from '../../../sidecar/wire/header-list.ts';
import { HeaderField } from '../../../sidecar/wire/hpack/header-field.ts';
import type { Stream, StreamConsumer } from '../../../sidecar/wire/stream.ts';

const status200 = [new HeaderField(':status', '200')];

/** Answers each request, once it is whole, with the body that came, or `answer`; `/wait` is never answered. */
export class EchoAcceptor implements StreamAcceptor {
  /** What happened to streams, in order: `reset 1 CANCEL`, `trailers 1`. */
  readonly events: string[] = [];
  readonly lists: HeaderList[] = [];
  readonly answer: string;

  constructor(answer = 'answer') {
    this.answer = answer;
  }

  accept(stream: Stream, list: HeaderList, isLast: boolean): void {
    this.lists.push(list);
    const consumer = new EchoConsumer(this, stream, list.path === '/wait');
    stream.consumer = consumer;
    if (isLast) consumer.end();
  }
}

class EchoConsumer implements StreamConsumer {
  readonly #acceptor: EchoAcceptor;
  readonly #stream: Stream;
  readonly #waits: boolean;
  readonly #body: Buffer[] = [];

  constructor(acceptor: EchoAcceptor, stream: Stream, waits: boolean) {
    this.#acceptor = acceptor;
    this.#stream = stream;
    this.#waits = waits;
  }

  headers(_trailers: HeaderList, isLast: boolean): void {
    this.#acceptor.events.push(`trailers ${this.#stream.id}`);
    if (isLast) this.end();
  }

  data(buffer: Buffer, start: number, end: number, isLast: boolean): void {
    this.#body.push(Buffer.from(buffer.subarray(start, end)));
    this.#stream.used(end - start);
    if (isLast) this.end();
  }

  end(): void {
    if (this.#waits) return;
    const body = Buffer.concat(this.#body);
    this.#stream.sendHeaders(status200, false);
    this.#stream.sendData(body.length > 0 ? body : Buffer.from(this.#acceptor.answer), true);
  }

  reset(error: ErrorName): void {
    this.#acceptor.events.push(`reset ${this.#stream.id} ${error}`);
  }

  drained(): void {
    this.#acceptor.events.push(`drained ${this.#stream.id}`);
  }
}
