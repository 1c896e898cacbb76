import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { once } from 'node:events';

/** A server in a process of its own, on the first core where there are two, so that the load's work is not counted as its. */
export type BenchServer = AsyncDisposable & {
  readonly address: string;
  readonly pid: number;
  /** CPU time of all its threads so far, microseconds; NaN where the kernel does not tell. */
  cpuUs(): number;
  /** Sends a message to a server that answers messages; its answer. */
  ask(message: string): Promise<unknown>;
};

const canPin =
  spawnSync('taskset', ['-c', '0', 'true']).status === 0 && spawnSync('taskset', ['-c', '1', 'true']).status === 0;

/** The command pinned to a core, where that is possible. */
export function pinned(core: 0 | 1, command: string, parameters: readonly string[]): [string, string[]] {
  return canPin ? ['taskset', ['-c', String(core), command, ...parameters]] : [command, [...parameters]];
}

/** Starts a script that sends `{ address }` to its parent when it serves, on the first core unless it is said otherwise. */
export async function spawnServer(
  script: string,
  variables: Readonly<Record<string, string>>,
  core: 0 | 1 = 0,
): Promise<BenchServer> {
  const [command, parameters] = pinned(core, process.execPath, [script]);
  const child = spawn(command, parameters, {
    // Several sidecars stand beside each other, and the default socket is one.
    env: { ...process.env, TM_SIDECAR_SOCKET: 'off', ...variables },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const [message] = (await once(child, 'message')) as [{ address: string }];
  const pid = child.pid ?? 0;
  return {
    address: message.address,
    pid,
    cpuUs: () => cpuUsOf(pid),
    ask: async (message) => {
      child.send(message);
      const [answer] = (await once(child, 'message')) as [unknown];
      return answer;
    },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** CPU time of all threads of a process so far, microseconds; NaN where the kernel does not tell. */
export function cpuUsOf(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/task`).reduce(
      (total, task) =>
        total + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1_000,
      0,
    );
  } catch {
    return Number.NaN;
  }
}
