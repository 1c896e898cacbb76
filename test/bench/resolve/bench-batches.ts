import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BatchResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import type { BenchOptions } from '../bench-options.ts';
import { applyLoad } from '../load.ts';
import { median, printTable } from '../report.ts';
import { pinned, type BenchServer } from '../spawn-server.ts';
import { benchKey } from './bench-routes.ts';

const service = '/trafficmanager.v1.ResolverService';

/** Lookups a second in batches and over a stream, beside single ones in the same rounds. */
export async function benchBatches(sidecar: BenchServer, unary: Buffer, options: BenchOptions): Promise<void> {
  const { rounds, seconds, routes } = options;
  const runs: readonly [string, () => Promise<number>][] = [
    [
      'Resolve, 4 x 32',
      async () => {
        const shape = { name: '', connections: 4, streams: 32 };
        return (await applyLoad({ server: sidecar, path: `${service}/Resolve`, request: unary, shape, seconds }))
          .perSecond;
      },
    ],
    ...[16, 64, 1_000].map((lookups): [string, () => Promise<number>] => [
      `BatchResolve of ${lookups}, 4 x 4`,
      async () => {
        const shape = { name: '', connections: 4, streams: 4 };
        const request = batchOf(lookups, routes);
        const { perSecond } = await applyLoad({
          server: sidecar,
          path: `${service}/BatchResolve`,
          request,
          shape,
          seconds,
        });
        return perSecond * lookups;
      },
    ]),
    ...[1, 16, 64].map((lookups): [string, () => Promise<number>] => [
      `StreamResolve of ${lookups}, 1 stream, 32 in flight`,
      async () => (await streamedPerSecond(sidecar, batchOf(lookups, routes), seconds)) * lookups,
    ]),
  ];
  const figures = runs.map(() => [] as number[]);
  for (let round = 0; round < rounds; round++)
    for (const [index, [, run]] of runs.entries()) figures[index]?.push(await run());
  const base = median(figures[0] ?? []);
  printTable(
    ['load', '', 'lookups/s', 'x single'],
    runs.map(([name], index) => [name, '', median(figures[index] ?? []), median(figures[index] ?? []) / base]),
  );
}

function batchOf(lookups: number, routes: number): Buffer {
  const requests = Array.from({ length: lookups }, (_, index) => ({
    key: benchKey((index * 7_919) % routes),
    hashKey: '',
    attributes: {},
    method: '',
    consistency: undefined,
    at: undefined,
  }));
  return Buffer.from(BatchResolveRequest.encode({ requests }).finish());
}

async function streamedPerSecond(server: BenchServer, message: Buffer, seconds: number): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    const body = join(directory, 'message');
    const log = join(directory, 'log');
    writeFileSync(body, Buffer.concat([prefix, message]));
    const url = `http://${server.address}${service}/StreamResolve`;
    const command = pinned(1, process.execPath, [
      'test/bench/resolve/stream-load.ts',
      url,
      body,
      log,
      '32',
      String(seconds),
    ]);
    const child = spawn(...command, { stdio: ['ignore', 'inherit', 'inherit'] });
    const [code] = (await once(child, 'exit')) as [number];
    if (code !== 0) throw new Error('the stream ended early');
    return Number(readFileSync(log, 'utf8')) / seconds;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
