import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { clientPreface, frameTypes } from '../../../sidecar/wire/frame.ts';
import { frame } from '../../support/sidecar-wire/frames.ts';
import { makeSocketDirectory } from '../../support/sidecar.ts';
import type { BenchOptions } from '../bench-options.ts';
import { variablesOf } from '../listening.ts';
import { median, printTable } from '../report.ts';
import { spawnServer, type BenchServer } from '../spawn-server.ts';

const bytesCaller = 'test/bench/wire/client-process.ts';
const libraryCaller = 'test/bench/wire/library-process.ts';

type Caller = readonly [name: string, kind: string, script: string];

/** Calls of bytes, and calls of the client library, which reads and writes messages, over either. */
const callers: readonly Caller[] = [
  ['grpc-js', 'grpc-js', bytesCaller],
  ['wire', 'wire', bytesCaller],
  ['library on grpc-js', 'grpc-js', libraryCaller],
  ['library on wire', 'wire', libraryCaller],
  // What a call would cost if HTTP/2 and gRPC cost nothing: the same bytes over a socket of `node:net`.
  ['a bare socket', 'socket', bytesCaller],
];
const bytesCallers = callers.filter(([, , script]) => script === bytesCaller);

/** What a call costs its caller, and what connections that do nothing cost a server. */
export async function benchWireClient(options: BenchOptions): Promise<void> {
  await using directory = await makeSocketDirectory();
  const listening = { socketPath: join(directory.path, 'engine'), tls: undefined };
  await using overTcp = await spawnServer('test/bench/wire/engine-server.ts', {});
  await using overUnix = await spawnServer('test/bench/wire/engine-server.ts', variablesOf(listening));
  const rows = [
    ...(await callersOf(overTcp, callers, options)),
    ...(await callersOf(overUnix, bytesCallers, options)).map(([load, ...rest]) => [`${load}, unix`, ...rest]),
  ];
  printTable(['load', 'client', 'calls/s', 'client CPU us/call'], rows);
  await idleConnections();
}

async function callersOf(
  server: BenchServer,
  those: readonly Caller[],
  { rounds, seconds }: BenchOptions,
): Promise<(string | number)[][]> {
  const rows: (string | number)[][] = [];
  for (const depth of [1, 64]) {
    const here = those.filter(([, kind]) => kind !== 'socket' || depth === 1);
    const figures = new Map<string, { calls: number; cpuUs: number }[]>(here.map(([name]) => [name, []]));
    for (let round = 0; round < rounds; round++) {
      for (const [name, kind, script] of here) {
        const variables = { BENCH_ADDRESS: server.address, BENCH_CLIENT: kind, BENCH_DEPTH: String(depth) };
        await using client = await spawnServer(script, variables, 1);
        figures.get(name)?.push((await client.ask(String(seconds))) as { calls: number; cpuUs: number });
      }
    }
    for (const [name, runs] of figures)
      rows.push([
        `${depth} at a time`,
        name,
        median(runs.map(({ calls }) => calls / seconds)),
        median(runs.map(({ cpuUs }) => cpuUs)),
      ]);
  }
  return rows;
}

async function idleConnections(): Promise<void> {
  const count = 1_000;
  const rows: (string | number)[][] = [];
  for (const [name, script] of [
    ['grpc-js', 'test/bench/resolve/echo-server.ts'],
    ['wire', 'test/bench/wire/engine-server.ts'],
  ] as const) {
    await using server = await spawnServer(script, {});
    await open(server, 20);
    const before = residentKib(server.pid);
    await open(server, count);
    rows.push(['idle connections', name, count, (residentKib(server.pid) - before) / count]);
  }
  printTable(['load', 'server', 'connections', 'RSS KiB each'], rows);
}

/** Connections that have said hello and been answered. */
async function open({ address }: BenchServer, count: number): Promise<void> {
  const [host = '', port = ''] = address.split(':');
  for (let index = 0; index < count; index++) {
    const socket: Socket = createConnection({ host, port: Number(port) });
    // The server is ended before they are.
    socket.on('error', () => {});
    socket.write(Buffer.concat([clientPreface, frame(frameTypes.SETTINGS, 0, 0), frame(frameTypes.SETTINGS, 1, 0)]));
    await once(socket, 'data');
  }
}

function residentKib(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+) kB/)?.[1] ?? Number.NaN);
}
