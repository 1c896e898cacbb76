import { createServer } from 'node:http';
import { Counter, Gauge, Registry } from 'prom-client';
import { ListenError, listenProblem } from './grpc/server.ts';

/** A figure that its owner keeps, and that is read when it is asked for. */
export type Metric = {
  /** `counter`: only ever grows while the process lives; its name ends in `_total`. */
  readonly kind: 'counter' | 'gauge';
  readonly name: string;
  readonly help: string;
  readonly read: () => number;
};

/** Serves metrics; disposing stops it at once. */
export type MetricsServer = AsyncDisposable & {
  /** `http://127.0.0.1:9464/metrics`, with its real port. */
  readonly url: string;
};

/**
 * Serves metrics to Prometheus: `GET /metrics`. They have no tenant in their labels: whoever may scrape a process need not be told
 * who its tenants are.
 */
export async function serveMetrics(address: string, metrics: readonly Metric[]): Promise<MetricsServer> {
  const registry = new Registry();
  for (const metric of metrics) register(registry, metric);
  const server = createServer((request, response) => {
    if (request.url !== '/metrics') response.writeHead(404).end();
    else if (request.method !== 'GET') response.writeHead(405, { allow: 'GET' }).end();
    else
      registry.metrics().then(
        (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
        () => response.writeHead(500).end(),
      );
  });
  const at = address.lastIndexOf(':');
  // The brackets of an IPv6 address are those of its text.
  const host = address.slice(0, at).replace(/^\[|\]$/g, '');
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(new ListenError(`cannot serve metrics on ${address}: ${listenProblem(error.message)}`, { cause: error }));
    });
    server.listen({ host, port: Number(address.slice(at + 1)) }, resolve);
  });
  const bound = server.address();
  const port = typeof bound === 'object' ? bound?.port : undefined;
  return {
    url: `http://${address.slice(0, at)}:${port}/metrics`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function register(registry: Registry, { kind, name, help, read }: Metric): void {
  const options = { name, help, registers: [registry] };
  if (kind === 'gauge') {
    const gauge: Gauge = new Gauge({ ...options, collect: () => gauge.set(read()) });
    return;
  }
  const counter: Counter = new Counter({
    ...options,
    collect: () => {
      counter.reset();
      counter.inc(read());
    },
  });
}
