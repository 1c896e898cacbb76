import { HeaderField } from '../../../sidecar/wire/hpack/header-field.ts';
import { BatchResolveRequest, ResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { benchKey } from '../resolve/bench-routes.ts';
import { percentile } from '../report.ts';
import { RawConnection } from './raw-connection.ts';

// Calls BENCH_ADDRESS over BENCH_CONNECTIONS, with other keys of BENCH_ROUTES and other metadata each time: BENCH_METHOD Resolve,
// BENCH_STREAMS at a time on each connection, or StreamResolve, as many messages of BENCH_LOOKUPS in flight on one stream of each.
// It begins when it is asked for some seconds of that, and goes on; it says how many lookups were answered, and how long calls took.
const variable = (name: string): number => Number(process.env[name]);
const [connectionCount, streams, lookups, routes] = [
  variable('BENCH_CONNECTIONS'),
  variable('BENCH_STREAMS'),
  variable('BENCH_LOOKUPS'),
  variable('BENCH_ROUTES'),
];
const method = process.env['BENCH_METHOD'] ?? 'Resolve';
const path = `/trafficmanager.v1.ResolverService/${method}`;
/** Of a prime number, so that connections and messages meet all of them. */
const variants = 4_999;
const stride = 7_919;
const prefixBytes = 5;
/** An answer with a route is never as short. */
const answerBytesMin = 50;

const request = (index: number): ResolveRequest => ({
  key: benchKey((index * stride) % routes),
  hashKey: '',
  attributes: {},
  method: '',
  consistency: undefined,
  at: undefined,
});
const messages = Array.from({ length: variants }, (_none, index) => {
  const requests = Array.from({ length: lookups }, (_each, at) => request(index * lookups + at));
  return framed(
    method === 'Resolve'
      ? ResolveRequest.encode(request(index)).finish()
      : BatchResolveRequest.encode({ requests }).finish(),
  );
});
const metadata = Array.from({ length: variants }, (_none, index) => [
  new HeaderField('x-correlation-id', `${(index * 2_654_435_761) % 4_294_967_296}-${index}`),
  new HeaderField('traceparent', `00-${String(index).padStart(32, '0')}-${String(index).padStart(16, '0')}-01`),
]);

let next = 0;
let answered = 0;
let durationsMs: number[] = [];
let isBegun = false;

function framed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function pick<Item>(items: readonly Item[]): Item {
  next = (next + 1) % items.length;
  return items[next] as Item;
}

/** Unary calls: each that ends begins another. */
function callOver(address: string): () => void {
  const startsMs = new Map<number, number>();
  let bytes = 0;
  let ended = 0;
  const connection = new RawConnection(address, path, {
    data: (_buffer, start, end) => void (bytes += end - start),
    ended: (id) => {
      ended++;
      answered++;
      if (bytes < ended * answerBytesMin) throw new Error(`${ended} answers of ${bytes} bytes`);
      durationsMs.push(performance.now() - (startsMs.get(id) ?? 0));
      startsMs.delete(id);
      begin();
    },
  });
  const begin = (): void => {
    const id = connection.open(pick(metadata));
    startsMs.set(id, performance.now());
    connection.data(id, pick(messages), true);
  };
  return () => {
    for (let stream = 0; stream < streams; stream++) begin();
  };
}

/** One stream: each message that is answered sends another. */
function streamOver(address: string): () => void {
  let missing = 0;
  let head: Buffer = Buffer.alloc(0);
  const connection = new RawConnection(address, path, {
    data: (buffer, start, end) => {
      let rest = head.length === 0 ? buffer.subarray(start, end) : Buffer.concat([head, buffer.subarray(start, end)]);
      head = Buffer.alloc(0);
      while (rest.length > 0) {
        const taken = Math.min(missing, rest.length);
        missing -= taken;
        rest = rest.subarray(taken);
        if (taken > 0 && missing === 0) took();
        if (missing > 0 || rest.length < prefixBytes) break;
        missing = prefixBytes + rest.readUInt32BE(1);
      }
      if (missing === 0) head = Buffer.from(rest);
    },
    ended: () => {
      throw new Error('the stream ended');
    },
  });
  const id = connection.open(pick(metadata));
  const took = (): void => {
    answered += lookups;
    connection.data(id, pick(messages), false);
  };
  return () => {
    for (let message = 0; message < streams; message++) connection.data(id, pick(messages), false);
  };
}

function passed(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
}

const address = process.env['BENCH_ADDRESS'] ?? '';
const starts = Array.from({ length: connectionCount }, () =>
  method === 'Resolve' ? callOver(address) : streamOver(address),
);
process.on('message', (seconds) => {
  if (!isBegun) for (const start of starts) start();
  isBegun = true;
  answered = 0;
  durationsMs = [];
  void passed(Number(seconds)).then(() => {
    process.send?.({ lookups: answered, p50Ms: percentile(durationsMs, 0.5), p99Ms: percentile(durationsMs, 0.99) });
  });
});
process.once('disconnect', () => process.exit(0));
process.send?.({ address });
