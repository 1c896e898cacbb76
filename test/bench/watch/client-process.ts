import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { pinned } from '../spawn-server.ts';
import type { ClientsCommand, ClientsReport } from './watch-clients.ts';

/** Watchers in a process of their own, on the second core, behind everything else that wants it. */
export type ClientProcess = AsyncDisposable & {
  tell(command: ClientsCommand): void;
  /** The next report. */
  report(): Promise<ClientsReport>;
};

export function startClients(): ClientProcess {
  const [command, parameters] = pinned(1, process.execPath, ['test/bench/watch/watch-clients.ts']);
  const child = spawn('nice', ['-n', '10', command, ...parameters], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const reports: ClientsReport[] = [];
  const waiting: ((report: ClientsReport) => void)[] = [];
  child.on('message', (report: ClientsReport) => {
    const next = waiting.shift();
    if (next === undefined) reports.push(report);
    else next(report);
  });
  return {
    tell: (message) => void child.send(message),
    report: () => {
      const report = reports.shift();
      return report === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(report);
    },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
