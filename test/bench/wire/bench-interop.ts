import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { spawnServer } from '../spawn-server.ts';
import { startHaproxy, startNginxProxy } from './native-servers.ts';
import { pythonCaller } from './python-caller.ts';

const execute = promisify(execFile);

type Outcome = 'works' | 'fails' | 'is not installed';

/** Every program here that speaks HTTP/2 or gRPC, against the engine; what is not installed is said, never skipped in silence. */
export async function benchInterop(): Promise<void> {
  await using server = await spawnServer('test/bench/wire/echo-server.ts', {});
  const directory = mkdtempSync(join(tmpdir(), 'bench-interop-'));
  const body = join(directory, 'request');
  writeFileSync(body, Buffer.from([0, 0, 0, 0, 2, 0x68, 0x69]));
  const headers = ['-H', 'content-type: application/grpc', '-H', 'te: trailers'];
  const url = (address: string): string => `http://${address}/test.Echo/Unary`;
  const python = async (address: string): Promise<string> => run('/usr/bin/python3', ['-c', pythonCaller, address]);
  const attempts: readonly (readonly [string, () => Promise<string>, RegExp])[] = [
    ['nghttp', () => run('nghttp', ['-v', '-d', body, ...headers, url(server.address)]), /grpc-status: 0/],
    [
      'curl --http2-prior-knowledge',
      () =>
        run('curl', ['-sv', '--http2-prior-knowledge', '--data-binary', `@${body}`, ...headers, url(server.address)]),
      /grpc-status: 0/,
    ],
    [
      'h2load, 10,000 calls of 100 streams',
      () => run('h2load', ['-n', '10000', '-c', '4', '-m', '100', '-d', body, ...headers, url(server.address)]),
      /10000 succeeded, 0 failed/,
    ],
    ['Python grpcio (C-core)', () => python(server.address), /gzip refused/],
    [
      'Python through nginx grpc_pass',
      async () => {
        await using proxy = await startNginxProxy(server.address);
        return await python(proxy.address);
      },
      /gzip refused/,
    ],
    [
      'Python through haproxy',
      async () => {
        await using proxy = await startHaproxy(server.address);
        return await python(proxy.address);
      },
      /gzip refused/,
    ],
    [
      "Python through the engine's own proxy",
      async () => {
        await using proxy = await spawnServer('test/bench/wire/engine-server.ts', { BENCH_UPSTREAM: server.address });
        return await python(proxy.address);
      },
      /gzip refused/,
    ],
  ];
  let failures = 0;
  for (const [name, attempt, wanted] of attempts) {
    const { outcome, output } = await tried(attempt, wanted);
    console.log(`${name}: ${outcome}`);
    if (outcome === 'fails') {
      failures++;
      console.log(output);
    }
  }
  rmSync(directory, { recursive: true, force: true });
  if (failures > 0) throw new Error(`${failures} of ${attempts.length} do not work`);
}

async function tried(attempt: () => Promise<string>, wanted: RegExp): Promise<{ outcome: Outcome; output: string }> {
  try {
    const output = await attempt();
    return { outcome: wanted.test(output) ? 'works' : 'fails', output };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || String(error).includes("No module named 'grpc'"))
      return { outcome: 'is not installed', output: '' };
    return { outcome: 'fails', output: String(error) };
  }
}

async function run(command: string, parameters: readonly string[]): Promise<string> {
  const { stdout, stderr } = await execute(command, parameters, { timeout: 120_000, maxBuffer: 16 * 1_048_576 });
  return stdout + stderr;
}
