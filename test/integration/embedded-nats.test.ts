import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startNats, type NatsOptions } from '../../deploy/embedded/nats-server.ts';
import { describeProcess, isRunning } from '../../deploy/embedded/process-identity.ts';
import { provideNatsServer } from '../support/nats.ts';
import { makeScratchDirectory, type ScratchDirectory } from '../support/scratch-directory.ts';

let scratch: ScratchDirectory;
let binary: string;
let nextDirectory = 0;

beforeAll(async () => {
  ({ binary } = await provideNatsServer());
  scratch = await makeScratchDirectory();
});

afterAll(async () => {
  await scratch[Symbol.asyncDispose]();
});

/** Options for a server with a directory of its own. */
function options(): NatsOptions {
  nextDirectory += 1;
  // JetStream's directory is written into a configuration file: it must survive that.
  return { binary, directory: join(scratch.path, `nats "${nextDirectory}" \\ ä`) };
}

async function publish(url: string, text: string): Promise<void> {
  const connection = await connect({ servers: url });
  const manager = await connection.jetstreamManager();
  await manager.streams.add({ name: 'NOTES', subjects: ['notes'] });
  await connection.jetstream().publish('notes', text);
  await connection.close();
}

async function countMessages(url: string): Promise<number> {
  const connection = await connect({ servers: url });
  const { state } = await (await connection.jetstreamManager()).streams.info('NOTES');
  await connection.close();
  return state.messages;
}

describe('embedded NATS', () => {
  test('has JetStream and keeps its streams over a restart', async () => {
    const launch = options();
    const first = await startNats(launch);
    await publish(first.url, 'one');
    await first.stop();
    await first.stop();
    await using second = await startNats({ ...launch, port: first.port });
    expect(second.url).toBe(first.url);
    expect(await countMessages(second.url)).toBe(1);
  });

  test('stops the server that a killed owner left', async () => {
    const launch = options();
    const program = fileURLToPath(new URL('../support/own-a-nats-server.ts', import.meta.url));
    const arguments_ = [program, launch.directory, binary];
    const owner = spawn(process.execPath, arguments_, { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = (await once(owner.stdout, 'data')) as [Buffer];
    const leftover = JSON.parse(line.toString('utf8')) as { pid: number; url: string };
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    await publish(leftover.url, 'one');
    const lines: string[] = [];
    await using server = await startNats({ ...launch, onProgress: (text) => lines.push(text) });
    expect(lines).toEqual([`stopped the NATS server of a killed run (pid ${leftover.pid})`]);
    expect(await describeProcess(leftover.pid)).toBeUndefined();
    expect(await countMessages(server.url)).toBe(1);
  });

  test('leaves a foreign process alone whose pid is in an old pid file', async () => {
    const launch = options();
    await (await startNats(launch)).stop();
    const foreign = spawn('sleep', ['600'], { stdio: 'ignore' });
    const foreignEnded = once(foreign, 'exit');
    await once(foreign, 'spawn');
    const identity = (await describeProcess(foreign.pid!))!;
    await writeFile(join(launch.directory, 'nats.pid'), String(foreign.pid));
    await using server = await startNats(launch);
    expect(await readFile(join(launch.directory, 'nats.pid'), 'utf8')).toBe(String(server.pid));
    expect(await isRunning(identity)).toBe(true);
    foreign.kill();
    await foreignEnded;
  });

  test('says so when the port is taken, and when the program is none', async () => {
    const other = createServer().listen({ host: '127.0.0.1', port: 0 });
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    await expect(startNats({ ...options(), port })).rejects.toThrow(`127.0.0.1:${port} is in use`);
    other.close();
    await once(other, 'close');
    await expect(startNats({ ...options(), binary: '/nowhere/nats-server' })).rejects.toThrow(
      /cannot run .*ENOENT.*NATS_URL/,
    );
    await expect(startNats({ ...options(), binary: '/bin/false' })).rejects.toThrow(/did not start: exit code 1/);
  });
});

describe('a NATS server for fault tests', () => {
  test('keeps its address and its streams over a crash, and loses the streams when wiped', async () => {
    await using server = await (await provideNatsServer()).start();
    await publish(server.url, 'one');
    const { pid } = server;
    await server.crash();
    await server.start();
    expect(server.pid).not.toBe(pid);
    expect(await countMessages(server.url)).toBe(1);
    await server.stop();
    await server.wipe();
    await server.start();
    await expect(countMessages(server.url)).rejects.toThrow(/stream not found/);
  });
});
