import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { spawnServer } from '../spawn-server.ts';
import { callAllByGrpcJs } from './grpc-js-caller.ts';
import { startHaproxy, startNginxProxy } from './native-servers.ts';
import { callAll } from './our-caller.ts';
import { pythonCaller } from './python-caller.ts';
import { startPythonServer } from './python-server.ts';

const execute = promisify(execFile);

type Outcome = 'works' | 'fails' | 'is not installed';

type Attempt = readonly [name: string, attempt: () => Promise<string>, wanted: RegExp];

/** The last line of a caller's. */
const whole = /10,000 streams/;

/** Our own client against servers of others, also with a proxy in between. */
function ourClientAttempts(): Attempt[] {
  const servers = {
    'grpc-js': () => spawnServer('test/bench/wire/grpc-js-echo-server.ts', {}),
    'Python grpcio': startPythonServer,
    'the engine': () => spawnServer('test/bench/wire/echo-server.ts', { BENCH_LARGE: 'yes' }),
  };
  const proxies = {
    '': undefined,
    ' through nginx': startNginxProxy,
    ' through haproxy': startHaproxy,
  };
  return Object.entries(servers).flatMap(([server, start]) =>
    Object.entries(proxies).map(([through, startProxy]): Attempt => {
      const attempt = async (): Promise<string> => {
        await using started = new AsyncDisposableStack();
        const { address } = started.use(await start());
        return await callAll(startProxy === undefined ? address : started.use(await startProxy(address)).address);
      };
      return [`our client, ${server}${through}`, attempt, whole];
    }),
  );
}

/** Every program here that speaks HTTP/2 or gRPC, against the engine; what is not installed is said, never skipped in silence. */
export async function benchInterop(): Promise<void> {
  await using server = await spawnServer('test/bench/wire/echo-server.ts', { BENCH_LARGE: 'yes' });
  const directory = mkdtempSync(join(tmpdir(), 'bench-interop-'));
  const body = join(directory, 'request');
  writeFileSync(body, Buffer.from([0, 0, 0, 0, 2, 0x68, 0x69]));
  const headers = ['-H', 'content-type: application/grpc', '-H', 'te: trailers'];
  const url = (address: string): string => `http://${address}/test.Echo/Unary`;
  const python = async (address: string): Promise<string> => run('/usr/bin/python3', ['-c', pythonCaller, address]);
  const attempts: readonly Attempt[] = [
    ...ourClientAttempts(),
    ['grpc-js', () => callAllByGrpcJs(server.address), whole],
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
    return { outcome: 'fails', output: error instanceof Error ? (error.stack ?? '') : String(error) };
  }
}

async function run(command: string, parameters: readonly string[]): Promise<string> {
  const { stdout, stderr } = await execute(command, parameters, { timeout: 120_000, maxBuffer: 16 * 1_048_576 });
  return stdout + stderr;
}
