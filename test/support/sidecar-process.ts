import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

/** Our programs, as `npm start` starts them, and the sidecar as the image does (after `npm run build`). */
const programs = {
  controlPlane: '../../src/main.ts',
  sidecar: '../../sidecar/main.ts',
  builtSidecar: '../../dist/sidecar/main.js',
} as const;

/** How a process ended. */
export type Ended = { readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly errors: string };

/** A process of ours; disposing kills it. */
export interface TestProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  /** Where it serves, as it says itself. */
  readonly addresses: readonly string[];
  readonly ended: Promise<Ended>;
}

/** Starts a program and waits until it serves. With an IPC channel, as `npm start` does. */
export async function startProcess(
  program: keyof typeof programs,
  environment: Record<string, string>,
): Promise<TestProcess> {
  const { child, stdout, ended } = spawnProgram(program, environment);
  const serving = Promise.withResolvers<readonly string[]>();
  createInterface({ input: stdout }).on('line', (line) => {
    const { msg, address, addresses } = JSON.parse(line) as { msg?: string; address?: string; addresses?: string[] };
    if (msg?.endsWith('serves') === true) serving.resolve(addresses ?? [address ?? '']);
  });
  void ended.then(({ errors }) => serving.reject(new Error(`it did not start: ${errors}`)));
  const addresses = await serving.promise;
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  return { child, addresses, ended, [Symbol.asyncDispose]: kill };
}

/** Runs a program that is expected to end by itself. */
export async function runProcess(program: keyof typeof programs, environment: Record<string, string>): Promise<Ended> {
  const { stdout, ended } = spawnProgram(program, environment);
  // Nobody reads it, and it must not stand in the way.
  stdout.resume();
  return await ended;
}

function spawnProgram(program: keyof typeof programs, environment: Record<string, string>) {
  const path = fileURLToPath(new URL(programs[program], import.meta.url));
  const child = spawn(process.execPath, [path], {
    // Of two sidecars with the default socket the second does not start.
    env: { PATH: process.env['PATH'], TM_SIDECAR_SOCKET: 'off', ...environment },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  if (child.stdout === null || child.stderr === null) throw new Error('both are pipes');
  const { stdout } = child;
  // Not 'close': Node does not emit it after a disconnect() of ours.
  const ended = Promise.all([once(child, 'exit'), text(child.stderr)]).then(([[code, signal], errors]): Ended => {
    return { code: code as number | null, signal: signal as NodeJS.Signals | null, errors };
  });
  return { child, stdout, ended };
}
