import {
  status,
  type sendUnaryData,
  type Server,
  type ServerUnaryCall,
  type ServerWritableStream,
} from '@grpc/grpc-js';
import type { Stopping } from './server.ts';

/** The health of a server and of each of its services, for probes and load balancers. */
export type Health = { set(serving: boolean): void };

/** Of `grpc.health.v1.HealthCheckResponse`. */
const serving = { SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const;
type Serving = keyof typeof serving;
type Request = { readonly service: string };
type Watch = ServerWritableStream<Request, Serving>;

/** Field 1 of the request, `service`; field 1 of the response, `status`. */
const serviceTag = 0x0a;
const statusTag = 0x08;

/**
 * Serves `grpc.health.v1`; not serving until told, and no more from the moment that the server is about to shut down. When it does,
 * watches end too, which would else keep it for as long as their clients like. '' is the server as a whole. By hand: the package `grpc-health-check` parses its proto when it is
 * loaded, with a parser that takes 70 ms and 10 MB, for two messages of one field each.
 */
export function addHealth(server: Server, services: readonly string[], { leaving, draining }: Stopping): Health {
  const known = new Set(['', ...services]);
  const watches = new Set<Watch>();
  let current: Serving = 'NOT_SERVING';
  const statusOf = (service: string): Serving => (known.has(service) ? current : 'SERVICE_UNKNOWN');
  const set = (isServing: boolean): void => {
    current = isServing && !leaving.aborted ? 'SERVING' : 'NOT_SERVING';
    for (const watch of watches) if (known.has(watch.request.service)) watch.write(current);
  };
  server.addService(
    { check: method('Check', false), watch: method('Watch', true) },
    {
      check: ({ request }: ServerUnaryCall<Request, Serving>, callback: sendUnaryData<Serving>) => {
        if (known.has(request.service)) callback(null, current);
        else callback({ code: status.NOT_FOUND, details: `the health of ${request.service} is not known here` });
      },
      watch: (watch: Watch) => {
        watch.write(statusOf(watch.request.service));
        watches.add(watch);
        watch.on('cancelled', () => watches.delete(watch));
        if (draining.aborted) watch.end();
      },
    },
  );
  leaving.addEventListener('abort', () => set(false));
  draining.addEventListener('abort', () => {
    for (const watch of watches) watch.end();
    watches.clear();
  });
  return { set };
}

function method(name: string, responseStream: boolean) {
  return {
    path: `/grpc.health.v1.Health/${name}`,
    requestStream: false,
    responseStream,
    requestSerialize: notHere,
    requestDeserialize: (bytes: Buffer): Request => ({ service: serviceIn(bytes) }),
    responseSerialize: (value: Serving): Buffer => Buffer.from([statusTag, serving[value]]),
    responseDeserialize: notHere,
  };
}

/** A name is shorter than 128 bytes, so its length is one; anything else names no service of ours. */
function serviceIn(bytes: Buffer): string {
  if (bytes.length === 0) return '';
  const isName = bytes[0] === serviceTag && bytes[1] === bytes.length - 2;
  return isName ? bytes.toString('utf8', 2) : bytes.toString('latin1');
}

function notHere(): never {
  throw new Error('this side serves');
}
