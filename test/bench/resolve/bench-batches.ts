import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BatchResolveRequest, type ResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import type { BenchOptions } from '../bench-options.ts';
import { applyLoad } from '../load.ts';
import { median, printTable } from '../report.ts';
import { pinned, type BenchServer } from '../spawn-server.ts';
import { benchKey } from './bench-routes.ts';

const service = '/trafficmanager.v1.ResolverService';

/** As many calls under way as single lookups have: only what is in a call differs. */
const shape = { name: '4 x 32', connections: 4, streams: 32 } as const;

type Figures = { readonly perSecond: number; readonly cpuUs: number };
type Load = { readonly name: string; readonly run: (sidecar: BenchServer) => Promise<Figures> };

/** Lookups a second, and what each costs the server, in batches and over a stream, beside single ones in the same rounds. */
export async function benchBatches(
  sidecars: ReadonlyMap<string, BenchServer>,
  unary: Buffer,
  options: BenchOptions,
): Promise<void> {
  const loads = loadsOf(unary, options);
  for (const [front, sidecar] of sidecars) {
    const figures = loads.map(() => [] as Figures[]);
    for (let round = 0; round < options.rounds; round++)
      for (const [index, { run }] of loads.entries()) figures[index]?.push(await run(sidecar));
    const of = (index: number, figure: keyof Figures): number =>
      median((figures[index] ?? []).map((each) => each[figure]));
    printTable(
      ['load', 'front', 'lookups/s', 'x single', 'server CPU us/lookup', 'x single'],
      loads.map(({ name }, index) => [
        name,
        front,
        of(index, 'perSecond'),
        of(index, 'perSecond') / of(0, 'perSecond'),
        of(index, 'cpuUs'),
        of(0, 'cpuUs') / of(index, 'cpuUs'),
      ]),
    );
  }
}

function loadsOf(unary: Buffer, { seconds, routes }: BenchOptions): readonly Load[] {
  const calls = async (server: BenchServer, method: string, request: Buffer): Promise<Figures> =>
    await applyLoad({ server, path: `${service}/${method}`, request, shape, seconds });
  return [
    { name: `Resolve, ${shape.name}`, run: async (sidecar) => await calls(sidecar, 'Resolve', unary) },
    ...[16, 64, 1_000].map((lookups) => ({
      name: `BatchResolve of ${lookups}, ${shape.name}`,
      run: async (sidecar: BenchServer) =>
        perLookup(await calls(sidecar, 'BatchResolve', batchOf(heldOf(lookups, routes))), lookups),
    })),
    {
      name: `BatchResolve of 64, one of them no route, ${shape.name}`,
      run: async (sidecar) => {
        const missing = lookupOf({ ...benchKey(0), version: 'none' });
        return perLookup(await calls(sidecar, 'BatchResolve', batchOf([...heldOf(63, routes), missing])), 64);
      },
    },
    ...[1, 16, 64].map((lookups) => ({
      name: `StreamResolve of ${lookups}, 1 stream, 32 in flight`,
      run: async (sidecar: BenchServer) =>
        perLookup(await streamed(sidecar, batchOf(heldOf(lookups, routes)), seconds), lookups),
    })),
  ];
}

function perLookup({ perSecond, cpuUs }: Figures, lookups: number): Figures {
  return { perSecond: perSecond * lookups, cpuUs: cpuUs / lookups };
}

function heldOf(lookups: number, routes: number): ResolveRequest[] {
  return Array.from({ length: lookups }, (_, index) => lookupOf(benchKey((index * 7_919) % routes)));
}

function lookupOf(key: ResolveRequest['key']): ResolveRequest {
  return { key, hashKey: '', attributes: {}, method: '', consistency: undefined, at: undefined };
}

function batchOf(requests: ResolveRequest[]): Buffer {
  return Buffer.from(BatchResolveRequest.encode({ requests }).finish());
}

async function streamed(server: BenchServer, message: Buffer, seconds: number): Promise<Figures> {
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
    const before = server.cpuUs();
    const child = spawn(...command, { stdio: ['ignore', 'inherit', 'inherit'] });
    const [code] = (await once(child, 'exit')) as [number];
    if (code !== 0) throw new Error('the stream ended early');
    const messages = Number(readFileSync(log, 'utf8'));
    return { perSecond: messages / seconds, cpuUs: (server.cpuUs() - before) / messages };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
