import { once } from 'node:events';
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readConfiguration } from '../../deploy/embedded/configuration.ts';
import { createInterrupts } from '../../deploy/embedded/interrupts.ts';
import { findFreePort } from '../../deploy/embedded/listen-address.ts';
import { describeProcess } from '../../deploy/embedded/process-identity.ts';
import { runEmbedded } from '../../deploy/embedded/run-embedded.ts';
import { makeScratchDirectory, type ScratchDirectory } from '../support/scratch-directory.ts';

/** Programs in the place of ours, in plain JavaScript; each writes its pid first. */
const programs = {
  serves: `console.log('last words'); process.send({ type: 'ready' }); process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 1000);`,
  refuses: `console.log('a line'); console.error('error: the database is too old'); process.exitCode = 1; process.disconnect();`,
  breaks: `throw new Error('a bug');`,
  hangs: `process.on('SIGTERM', () => {}); process.send({ type: 'ready' }); setInterval(() => {}, 1000);`,
  neverReady: `setInterval(() => {}, 1000);`,
  servesAndKillsControlPlane: `import { readFileSync } from 'node:fs'; setInterval(() => {}, 1000);
    process.send({ type: 'ready' });
    process.kill(Number(readFileSync(import.meta.dirname + '/../src/main.ts.pid', 'utf8')), 'SIGKILL');`,
  killsControlPlane: `import { readFileSync } from 'node:fs'; setInterval(() => {}, 1000);
    process.kill(Number(readFileSync(import.meta.dirname + '/../src/main.ts.pid', 'utf8')), 'SIGKILL');`,
};

let scratch: ScratchDirectory;
let project: string;

beforeEach(async () => {
  scratch = await makeScratchDirectory();
  project = join(scratch.path, 'project');
  await mkdir(join(project, 'src'), { recursive: true });
  await mkdir(join(project, 'sidecar'));
  await chmod(scratch.path, 0o711);
});

afterEach(async () => {
  await scratch[Symbol.asyncDispose]();
});

async function writeProgram(path: string, program: keyof typeof programs): Promise<void> {
  const writePid = `import { writeFileSync } from 'node:fs'; writeFileSync(import.meta.filename + '.pid', String(process.pid));`;
  await writeFile(join(project, path), `${writePid}\n${programs[program]}\n`);
}

/** A run with a real Postgres, without NATS. */
async function prepare(environment: Record<string, string> = {}) {
  const ports = { controlPlane: await findFreePort(), sidecar: await findFreePort() };
  let now = 0;
  const interrupts = createInterrupts(() => now);
  const shown = { progress: [] as string[], printed: '', errors: '' };
  const waiting: { readonly text: string; readonly resolve: () => void }[] = [];
  const configuration = readConfiguration({
    environment: {
      PATH: '/nowhere',
      TM_STATE_DIR: 'state',
      TM_CONTROL_PLANE_ADDRESS: `127.0.0.1:${ports.controlPlane}`,
      TM_SIDECAR_ADDRESS: `127.0.0.1:${ports.sidecar}`,
      ...environment,
    },
    projectDirectory: project,
    workingDirectory: scratch.path,
  });
  const progress = (line: string): void => {
    shown.progress.push(line);
    for (const each of waiting) if (line.includes(each.text)) each.resolve();
  };
  return {
    ports,
    shown,
    interrupt: () => {
      interrupts.receive();
      now += 1_000;
    },
    /** Fulfilled when a progress line holds this text. */
    sees: async (text: string): Promise<void> => await new Promise((resolve) => void waiting.push({ text, resolve })),
    run: async () =>
      await runEmbedded({
        configuration,
        interrupts,
        progress,
        print: (text) => (shown.printed += text),
        printError: (text) => (shown.errors += text),
      }),
  };
}

async function readPid(path: string): Promise<number> {
  return Number(await readFile(join(project, `${path}.pid`), 'utf8'));
}

describe('npm start', () => {
  test('shows why the control plane did not start, and stops the database', async () => {
    await writeProgram('src/main.ts', 'refuses');
    const { run, shown } = await prepare();
    expect(await run()).toBe(1);
    expect(shown.errors).toBe('error: the control plane did not start: the database is too old\n');
    expect(shown.progress.at(-1)).toBe('stopped: Postgres');
    await expect(stat(join(scratch.path, 'state', 'postgres', 'data', 'postmaster.pid'))).rejects.toThrow(/ENOENT/);
  });

  test('shows the end of the log of a child that breaks without a word', async () => {
    await writeProgram('src/main.ts', 'breaks');
    const { run, shown } = await prepare();
    expect(await run()).toBe(1);
    expect(shown.errors).toContain('error: the control plane ended while starting (exit code 1); the end of');
    expect(shown.errors).toContain('Error: a bug');
  });

  test('stops everything when one part dies, and shows its last lines', async () => {
    await writeProgram('src/main.ts', 'serves');
    await writeProgram('sidecar/main.ts', 'killsControlPlane');
    const { run, shown, ports } = await prepare();
    expect(await run()).toBe(1);
    expect(shown.errors).toMatch(
      /^error: control plane ended unexpectedly \(signal SIGKILL\); the end of .*control-plane\.log:\n {2}last words\n$/,
    );
    expect(shown.progress.slice(-2)).toEqual([
      'the control plane serves on 127.0.0.1:' + ports.controlPlane,
      'stopped: Postgres',
    ]);
    expect(await describeProcess(await readPid('sidecar/main.ts'))).toBeUndefined();
  });

  test('tells of the death of a part rather than of the call that failed by it', async () => {
    await writeProgram('src/main.ts', 'serves');
    await writeProgram('sidecar/main.ts', 'servesAndKillsControlPlane');
    const { run, shown } = await prepare();
    expect(await run()).toBe(1);
    expect(shown.errors).toContain('error: control plane ended unexpectedly (signal SIGKILL)');
  });

  test('says so when the example cannot be applied', async () => {
    await writeProgram('src/main.ts', 'serves');
    await writeProgram('sidecar/main.ts', 'serves');
    const { run, shown } = await prepare({ TM_EXAMPLE: join(scratch.path, 'none.yaml') });
    expect(await run()).toBe(1);
    expect(shown.errors).toMatch(/^error: the example was not applied: ENOENT.*none\.yaml'\n$/);
    expect(shown.progress.slice(-3)).toEqual(['stopped: sidecar', 'stopped: control plane', 'stopped: Postgres']);
  });

  test('stops in reverse order when interrupted while starting', async () => {
    await writeProgram('src/main.ts', 'serves');
    await writeProgram('sidecar/main.ts', 'neverReady');
    const { run, shown, interrupt, sees } = await prepare();
    const seen = sees('the control plane serves on');
    const running = run();
    await seen;
    interrupt();
    expect(await running).toBe(0);
    expect(shown.errors).toBe('');
    expect(shown.progress.slice(-3)).toEqual(['stopping', 'stopped: control plane', 'stopped: Postgres']);
    expect(await describeProcess(await readPid('src/main.ts'))).toBeUndefined();
  });

  test('kills what does not stop when interrupted twice', async () => {
    await writeProgram('src/main.ts', 'hangs');
    await writeProgram('sidecar/main.ts', 'hangs');
    const { run, shown, interrupt, sees } = await prepare();
    const [serving, stopping] = [sees('the sidecar serves on'), sees('stopping')];
    const running = run();
    await serving;
    interrupt();
    await stopping;
    interrupt();
    expect(await running).toBe(130);
    expect(shown.progress.slice(-3)).toEqual(['stopped: sidecar', 'stopped: control plane', 'stopped: Postgres']);
    expect(await describeProcess(await readPid('src/main.ts'))).toBeUndefined();
    expect(await describeProcess(await readPid('sidecar/main.ts'))).toBeUndefined();
  });

  test('starts nothing when an address is taken', async () => {
    const { run, shown, ports } = await prepare();
    const other = createServer().listen({ host: '127.0.0.1', port: ports.sidecar });
    await once(other, 'listening');
    expect(await run()).toBe(1);
    expect(shown.errors).toBe(
      `error: 127.0.0.1:${ports.sidecar} is in use; stop what listens there or set TM_SIDECAR_ADDRESS\n`,
    );
    await expect(stat(join(scratch.path, 'state', 'postgres'))).rejects.toThrow(/ENOENT/);
    other.close();
    await once(other, 'close');
  });

  test('uses a database and a broker of yours, hands them on, and never shows their passwords', async () => {
    await writeProgram('src/main.ts', 'refuses');
    const main = join(project, 'src/main.ts');
    const refusal = 'error: ${process.env.DATABASE_URL} ${process.env.NATS_URL} ${process.env.TM_EXTRA}';
    await writeFile(main, `console.error(\`${refusal}\`); process.exitCode = 1; process.disconnect();`);
    const database = 'postgresql://ada:secret@db.example:5432/mesh';
    const broker = 'nats://bob:secret@broker.example:4222';
    const { run, shown } = await prepare({ DATABASE_URL: database, NATS_URL: broker, TM_EXTRA: 'extra' });
    expect(await run()).toBe(1);
    expect(shown.errors).toBe(`error: the control plane did not start: ${database} ${broker} extra\n`);
    expect(shown.progress).toContain('Postgres: the one of DATABASE_URL (db.example:5432/mesh)');
    expect(shown.progress).toContain('NATS: the one of NATS_URL (broker.example:4222)');
    expect(shown.progress.join()).not.toContain('secret');
  });
});
