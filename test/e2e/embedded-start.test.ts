import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lookUp } from '../../deploy/embedded/first-lookup.ts';
import { findFreePort } from '../../deploy/embedded/listen-address.ts';
import { describeProcess } from '../../deploy/embedded/process-identity.ts';
import { makeScratchDirectory, type ScratchDirectory } from '../support/scratch-directory.ts';

const program = fileURLToPath(new URL('../../deploy/embedded/main.ts', import.meta.url));

let scratch: ScratchDirectory;

beforeEach(async () => {
  scratch = await makeScratchDirectory();
});

afterEach(async () => {
  await scratch[Symbol.asyncDispose]();
});

interface Product {
  readonly sidecar: string;
  readonly pids: readonly number[];
  /** Everything that it printed until it was ready. */
  readonly text: string;
  /** Sends the signal, answers the exit code once it has ended. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** Starts the whole product, as `npm start` does, with its state in the scratch directory. */
async function startProduct(): Promise<Product> {
  const state = join(scratch.path, 'state');
  const sidecar = `127.0.0.1:${await findFreePort()}`;
  const environment = {
    PATH: process.env['PATH'],
    TM_STATE_DIR: state,
    TM_CONTROL_PLANE_ADDRESS: `127.0.0.1:${await findFreePort()}`,
    TM_SIDECAR_ADDRESS: sidecar,
  };
  const launcher = spawn(process.execPath, [program], { env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(launcher, 'exit') as Promise<[number | null]>;
  const lines: string[] = [];
  for await (const line of createInterface({ input: launcher.stdout })) {
    lines.push(line);
    if (line.startsWith('Ctrl-C stops everything')) break;
  }
  const pids = [await readPostgresPid(state), ...(await readServicePids(state))];
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    launcher.kill(signal);
    const [code] = await ended;
    return code;
  };
  return { sidecar, pids, text: lines.join('\n'), end };
}

async function readPostgresPid(state: string): Promise<number> {
  return Number((await readFile(join(state, 'postgres', 'data', 'postmaster.pid'), 'utf8')).split('\n')[0]);
}

/** Each line of their logs is JSON with their pid. */
async function readServicePids(state: string): Promise<number[]> {
  const logs = ['control-plane', 'sidecar'].map(
    async (name) => await readFile(join(state, 'logs', `${name}.log`), 'utf8'),
  );
  return (await Promise.all(logs)).map((text) => (JSON.parse(text.split('\n')[0]!) as { pid: number }).pid);
}

async function countRunning(pids: readonly number[]): Promise<number> {
  const found = await Promise.all(pids.map(async (pid) => await describeProcess(pid)));
  return found.filter((each) => each !== undefined).length;
}

const key = { tenant: 'acme', service: 'cart', environment: 'production' };

describe('npm start', () => {
  test('answers lookups of the example, stops on Ctrl-C leaving no process, and starts again with the same data', async () => {
    const first = await startProduct();
    expect(first.text).toMatch(/applied .*shop\.yaml: [1-9]\d* changed, 0 already there/);
    expect(first.text).toContain('"selection_reason": "SELECTION_REASON_SPLIT"');
    const { answer } = await lookUp({ key, target: first.sidecar });
    expect(JSON.parse(answer)).toMatchObject({ route: { key }, traffic_policy: { key } });
    expect(await countRunning(first.pids)).toBe(3);
    expect(await first.end('SIGINT')).toBe(0);
    expect(await countRunning(first.pids)).toBe(0);
    const second = await startProduct();
    expect(second.text).toMatch(/applied .*shop\.yaml: 0 changed, [1-9]\d* already there/);
    expect(await second.end('SIGTERM')).toBe(0);
    expect(await countRunning(second.pids)).toBe(0);
  });

  test('recovers when it was killed: its children end by themselves, the next start stops the database that is left', async () => {
    const first = await startProduct();
    await first.end('SIGKILL');
    const second = await startProduct();
    expect(second.text).toContain(`stopped the Postgres of a killed run (pid ${first.pids[0]})`);
    expect(second.text).toMatch(/0 changed, [1-9]\d* already there/);
    expect(await countRunning(first.pids)).toBe(0);
    expect(await second.end('SIGINT')).toBe(0);
  });
});
