import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { percentile } from './report.ts';
import { pinned, type BenchServer } from './spawn-server.ts';

/** How calls are made. */
export type LoadShape = {
  readonly name: string;
  readonly connections: number;
  readonly streams: number;
  /** Calls a second of all connections together; undefined: as many as are answered. */
  readonly perSecond?: number;
};

/** What a load came to. */
export type LoadFigures = {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuUs: number;
};

export type LoadOptions = {
  readonly server: BenchServer;
  /** The gRPC method. */
  readonly path: string;
  /** The encoded request message. */
  readonly request: Buffer;
  readonly shape: LoadShape;
  readonly seconds: number;
  /** Over TLS; nobody asks who the server is. */
  readonly isSecure?: boolean;
};

const hasH2load = spawnSync('h2load', ['--version']).status === 0;

/** Drives one unary method from another process, on the second core: with h2load where there is one, else with our own generator. */
export async function applyLoad(options: LoadOptions): Promise<LoadFigures> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    const log = join(directory, 'log');
    const body = join(directory, 'request');
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(options.request.length, 1);
    writeFileSync(body, Buffer.concat([prefix, options.request]));
    await run(options, { body, log, seconds: 1 });
    const before = options.server.cpuUs();
    await run(options, { body, log, seconds: options.seconds });
    return figures(readFileSync(log, 'utf8'), { seconds: options.seconds, cpuUs: options.server.cpuUs() - before });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function run(
  { server, path, shape, isSecure = false }: LoadOptions,
  { body, log, seconds }: { body: string; log: string; seconds: number },
): Promise<void> {
  const isUnix = server.address.startsWith('unix:');
  const url = `${isSecure ? 'https' : 'http'}://${isUnix ? 'localhost' : server.address}${path}`;
  const { connections, streams, perSecond } = shape;
  const ratePerConnection = perSecond === undefined ? undefined : String(Math.round(perSecond / connections));
  rmSync(log, { force: true });
  const generator = hasH2load
    ? pinned(1, 'h2load', [
        '-t',
        '1',
        '-c',
        String(connections),
        '-m',
        String(streams),
        '-D',
        String(seconds),
        '-d',
        body,
        '--log-file',
        log,
        '-H',
        'content-type: application/grpc',
        '-H',
        'te: trailers',
        ...(ratePerConnection === undefined ? [] : ['--rps', ratePerConnection]),
        ...(isUnix ? ['--base-uri', server.address] : []),
        url,
      ])
    : pinned(1, process.execPath, [
        'test/bench/load-generator.ts',
        url,
        body,
        log,
        String(connections),
        String(streams),
        String(seconds),
        ratePerConnection ?? '',
        isUnix ? server.address : '',
      ]);
  const child = spawn(...generator, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = (await once(child, 'exit')) as [number];
  if (code !== 0) throw new Error(`the load generator ended with ${code}`);
}

/** Lines of start time in microseconds, HTTP status, and duration in microseconds: h2load's own form. */
function figures(log: string, { seconds, cpuUs }: { seconds: number; cpuUs: number }): LoadFigures {
  const lines = log.split('\n').filter((line) => line !== '');
  const failed = lines.find((line) => line.split('\t')[1] !== '200');
  if (failed !== undefined) throw new Error(`a request failed: ${failed}`);
  const durationsMs = lines.map((line) => Number(line.split('\t')[2]) / 1_000);
  return {
    perSecond: lines.length / seconds,
    p50Ms: percentile(durationsMs, 0.5),
    p99Ms: percentile(durationsMs, 0.99),
    cpuUs: cpuUs / lines.length,
  };
}
