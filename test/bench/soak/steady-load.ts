import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { frameOf } from '../../../src/platform/grpc/frame.ts';
import { pinned, type BenchServer } from '../spawn-server.ts';

export type SteadyLoadOptions = {
  readonly server: BenchServer;
  readonly path: string;
  /** The encoded request message. */
  readonly request: Buffer;
  /** Of all connections together; undefined: as many as are answered. */
  readonly perSecond?: number;
  readonly seconds: number;
};

const connections = 4;
const streams = 32;

/**
 * Calls of h2load, 4 connections of 32 streams, from the second core; how many were answered, and how many were not. It costs a
 * tenth of what a caller in JavaScript does, and looks at nothing but the HTTP status.
 */
export async function applySteadyLoad(options: SteadyLoadOptions): Promise<{ succeeded: number; failed: number }> {
  const { server, path, request, perSecond, seconds } = options;
  const directory = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    const body = join(directory, 'request');
    writeFileSync(body, frameOf(request));
    const rate = perSecond === undefined ? [] : ['--rps', String(Math.round(perSecond / connections))];
    const shape = ['-t', '1', '-c', String(connections), '-m', String(streams), '-D', String(seconds), ...rate];
    const headers = ['-H', 'content-type: application/grpc', '-H', 'te: trailers'];
    const [command, parameters] = pinned(1, 'h2load', [
      ...shape,
      '-d',
      body,
      ...headers,
      `http://${server.address}${path}`,
    ]);
    const child = spawn(command, parameters, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit') as Promise<[number]>]);
    const counts = /(\d+) succeeded, (\d+) failed/.exec(output);
    if (code !== 0 || counts === null) throw new Error(`h2load ended with ${code}: ${output}`);
    return { succeeded: Number(counts[1]), failed: Number(counts[2]) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
