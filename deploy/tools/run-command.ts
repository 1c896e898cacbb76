import { spawn } from 'node:child_process';
import { delimiter, join, resolve } from 'node:path';

/** The root of the checkout. */
export const repository = resolve(import.meta.dirname, '../..');

export interface CommandResult {
  /** The exit code; 128 when a signal ended it or it could not be started. */
  readonly code: number;
  /** What it wrote to stdout and stderr, as it came. */
  readonly output: string;
}

/** Runs a tool of this repository (or of the system) without a shell and without input. Never throws: a tool that cannot be started has failed. */
export function runCommand(
  command: readonly [string, ...string[]],
  options: { readonly cwd?: string } = {},
): Promise<CommandResult> {
  const [name, ...args] = command;
  // Our tools come first, `node` among them: the machine's own may be too old for them.
  const path = [join(repository, 'node_modules/.bin'), process.env['PATH'] ?? ''].join(delimiter);
  return new Promise((done) => {
    const child = spawn(name, args, {
      cwd: options.cwd ?? repository,
      env: { ...process.env, PATH: path, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.once('error', (error) => done({ code: 128, output: `${output}${error.message}\n` }));
    child.once('close', (code) => done({ code: code ?? 128, output }));
  });
}

/** Runs a command that has to succeed; returns what it wrote. */
export async function requireCommand(
  command: readonly [string, ...string[]],
  options: { readonly cwd?: string } = {},
): Promise<string> {
  const { code, output } = await runCommand(command, options);
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}:\n${output}`);
  return output;
}
