import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { readConfiguration } from '../../../deploy/embedded/configuration.ts';
import { createInterrupts } from '../../../deploy/embedded/interrupts.ts';
import { limits } from '../../../deploy/embedded/limits.ts';
import { readLastLines } from '../../../deploy/embedded/log-file.ts';
import { watchParent } from '../../../deploy/embedded/parent-watch.ts';
import { requireFreeSpace, writePrivateFile } from '../../../deploy/embedded/private-directory.ts';
import { createProgress } from '../../../deploy/embedded/progress.ts';
import { nameUser, parseNobody } from '../../../deploy/embedded/run-as.ts';
import { chooseSocketPath } from '../../../deploy/embedded/socket-path.ts';
import { chooseSource, describeSource } from '../../../deploy/embedded/parts.ts';
import { describeProduct } from '../../../deploy/embedded/summary.ts';

describe('the configuration', () => {
  const read = (environment: Record<string, string>) =>
    readConfiguration({ environment, projectDirectory: '/project', workingDirectory: '/work' });

  test('has defaults that fit together; an empty variable is not set', () => {
    expect(read({ DATABASE_URL: '' })).toMatchObject({
      databaseUrl: undefined,
      natsUrl: undefined,
      stateDirectory: undefined,
      controlPlane: { host: '127.0.0.1', port: 7400 },
      sidecar: { host: '127.0.0.1', port: 7401 },
      sidecarSocket: undefined,
      sidecarSource: undefined,
      sidecarTenants: 'acme,globex,*',
      drainMs: 5_000,
      exampleFile: '/project/deploy/examples/shop.yaml',
    });
  });

  test('takes each variable', () => {
    const environment = {
      DATABASE_URL: 'postgresql://db/x',
      NATS_URL: 'nats://broker',
      TM_STATE_DIR: '/state',
      TM_CONTROL_PLANE_ADDRESS: '0.0.0.0:9000',
      TM_SIDECAR_ADDRESS: '[::1]:9001',
      TM_SIDECAR_SOCKET: '/run/tm.sock',
      TM_SIDECAR_TENANTS: 'acme',
      TM_EXAMPLE: 'my.yaml',
    };
    expect(read(environment)).toMatchObject({
      databaseUrl: 'postgresql://db/x',
      natsUrl: 'nats://broker',
      stateDirectory: '/state',
      controlPlane: { host: '0.0.0.0', port: 9000 },
      sidecar: { host: '::1', port: 9001 },
      sidecarSocket: '/run/tm.sock',
      sidecarTenants: 'acme',
      exampleFile: 'my.yaml',
      environment,
    });
    expect(read({ TM_SIDECAR_ADDRESS: 'off' }).sidecar).toBeUndefined();
    expect(read({ TM_DRAIN_MS: '0' }).drainMs).toBe(0);
    expect(read({ TM_SIDECAR_SOURCE: 'nats://broker' }).sidecarSource).toBe('nats://broker');
  });

  test('refuses what cannot work', () => {
    expect(() => read({ TM_SIDECAR_ADDRESS: 'nonsense' })).toThrow('TM_SIDECAR_ADDRESS=nonsense is no address');
    expect(() => read({ TM_SIDECAR_ADDRESS: '127.0.0.1:7400' })).toThrow(/are the same/);
  });
});

describe('Ctrl-C', () => {
  test('once stops in order, twice at once; the copy that npm sends does not count', () => {
    let now = 1000;
    const interrupts = createInterrupts(() => now);
    interrupts.receive();
    expect([interrupts.stop.aborted, interrupts.hardStop.aborted]).toEqual([true, false]);
    now += limits.repeatedInterruptMs - 1;
    interrupts.receive();
    expect(interrupts.hardStop.aborted).toBe(false);
    now += 1;
    interrupts.receive();
    expect(interrupts.hardStop.aborted).toBe(true);
  });
});

test('the death of the process that started us is noticed once', () => {
  vi.useFakeTimers();
  let parent = 41;
  let deaths = 0;
  watchParent({ readParentPid: () => parent, onDeath: () => (deaths += 1) });
  vi.advanceTimersByTime(10 * limits.parentWatchMs);
  expect(deaths).toBe(0);
  parent = 1;
  vi.advanceTimersByTime(10 * limits.parentWatchMs);
  expect(deaths).toBe(1);
  vi.useRealTimers();
});

test('progress tells how long it has taken so far', () => {
  let now = 500;
  let text = '';
  const progress = createProgress({ write: (each) => (text += each), now: () => now });
  progress('first');
  now += 12_345;
  progress('second');
  expect(text).toBe('[ 0.0 s] first\n[12.3 s] second\n');
});

test('nobody is read from the accounts, and is never root', () => {
  const accounts = 'root:x:0:0:root:/root:/bin/sh\nnobody:x:99:98:Nobody:/:/sbin/nologin\n';
  expect(parseNobody(accounts)).toEqual({ uid: 99, gid: 98 });
  expect(parseNobody('nobody:x:0:0::/:\n')).toBeUndefined();
  expect(parseNobody('')).toBeUndefined();
});

test('a user without a name gets one where a program asks for it', async () => {
  expect(await nameUser(() => true)).toEqual([]);
  const words =
    process.platform === 'linux' ? ['unshare', '--user', '--map-user=65534', '--map-group=65534', '--'] : [];
  expect(await nameUser(() => false)).toEqual(words);
});

describe('the sidecar socket', () => {
  test('is in the state directory, or where a socket path is short enough', async () => {
    const temporaryDirectory = await mkdtemp(join(tmpdir(), 'socket-'));
    const choose = async (stateDirectory: string) =>
      await chooseSocketPath({ requested: undefined, stateDirectory, temporaryDirectory });
    expect(await choose('/state')).toEqual({ path: '/state/sidecar.sock', shortened: false });
    const long = `/${'long/'.repeat(30)}`;
    const chosen = await choose(long);
    expect(chosen).toEqual({
      path: expect.stringMatching(/^\/.*traffic-manager-[0-9a-f]{12}\/sidecar.sock$/),
      shortened: true,
    });
    expect((await stat(join(chosen.path, '..'))).mode & 0o777).toBe(0o700);
    expect(await choose(long)).toEqual(chosen);
    await rm(temporaryDirectory, { recursive: true });
  });

  test('is where TM_SIDECAR_SOCKET says, if a socket can be there', async () => {
    expect(await chooseSocketPath({ requested: '/run/x.sock', stateDirectory: '/s' })).toMatchObject({
      path: '/run/x.sock',
    });
    const long = `/${'é'.repeat(60)}`;
    await expect(chooseSocketPath({ requested: long, stateDirectory: '/s' })).rejects.toThrow(
      /TM_SIDECAR_SOCKET is longer/,
    );
    await expect(chooseSocketPath({ requested: 'off', stateDirectory: '/state' })).rejects.toThrow(
      /npm start needs the socket/,
    );
  });
});

test('the last lines of a log are whole lines', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'log-'));
  const file = join(directory, 'x.log');
  const lines = Array.from({ length: 5_000 }, (_, index) => `line ${index} ${'.'.repeat(20)}`);
  await writeFile(file, `${lines.join('\n')}\n\n`);
  expect(await readLastLines(file, 3)).toEqual(lines.slice(-3));
  expect((await readLastLines(file, 5_000))[0]).toMatch(/^line \d+ \.{20}$/);
  expect(await readLastLines(join(directory, 'none.log'))).toEqual([]);
  await rm(directory, { recursive: true });
});

test('a full disk is told before anything is written to it', async () => {
  await requireFreeSpace(tmpdir(), 1);
  await expect(requireFreeSpace(tmpdir(), Number.MAX_SAFE_INTEGER)).rejects.toThrow(
    /only \d+ MB are free on the disk of .*TM_STATE_DIR/,
  );
});

test('a private file is whole and private whatever was there', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'private-'));
  const file = join(directory, 'password');
  await writeFile(`${file}.partial`, 'the rest of an earlier attempt', { mode: 0o644 });
  await writePrivateFile(file, 'secret');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect((await stat(file)).size).toBe('secret'.length);
  await rm(directory, { recursive: true });
});

describe('the source of a sidecar', () => {
  const choose = (environment: Record<string, string>, broker?: string) => {
    const configuration = readConfiguration({ environment, projectDirectory: '/project', workingDirectory: '/work' });
    return chooseSource(
      { configuration },
      broker === undefined ? undefined : { url: broker, usage: '', part: undefined },
    );
  };

  test('is the change stream where there is NATS, else Watch of the control plane, else what was asked for', () => {
    expect(choose({}, 'nats://127.0.0.1:4222')).toBe('nats://127.0.0.1:4222');
    expect(choose({ TM_CONTROL_PLANE_ADDRESS: '0.0.0.0:9000' })).toBe('grpc://127.0.0.1:9000');
    expect(choose({ TM_SIDECAR_SOURCE: 'grpc://other:1' }, 'nats://127.0.0.1:4222')).toBe('grpc://other:1');
  });

  test('is shown without a password', () => {
    expect(describeSource('nats://user:secret@broker:4222')).toBe('the change stream on NATS (broker:4222)');
    expect(describeSource('grpc://127.0.0.1:7400')).toBe("the control plane's Watch (127.0.0.1:7400)");
  });
});

describe('the summary', () => {
  const summary = (environment: Record<string, string>) =>
    describeProduct({
      configuration: readConfiguration({ environment, projectDirectory: '/project', workingDirectory: '/work' }),
      state: { path: '/state', logs: '/state/logs' },
      socket: '/state/sidecar.sock',
      source: 'nats://u:secret@broker:4222',
      database: { url: 'postgresql://u:secret@db/x', usage: 'db/x (DATABASE_URL)', part: undefined },
      broker: undefined,
      lookup: {
        key: { tenant: 'acme', service: 'cart', environment: 'production' },
        answer: '{\n  "route": {}\n}',
        tookMs: 1.234,
      },
    });

  test('shows a call to copy, its answer and every address, but no password', () => {
    const text = summary({ TM_CONTROL_PLANE_ADDRESS: '0.0.0.0:7400' });
    expect(text).toContain('  npm run cli -- resolve acme/cart/production\n');
    expect(text).toContain(
      `'{"key":{"tenant":"acme","service":"cart","environment":"production"}}' 127.0.0.1:7401 trafficmanager.v1.Resolver`,
    );
    expect(text).toContain('It answered in 1.2 ms:\n\n  {\n    "route": {}\n  }\n');
    for (const place of [
      '127.0.0.1:7400',
      '127.0.0.1:7401',
      'unix:/state/sidecar.sock',
      'db/x',
      '/state/logs',
      'broker:4222',
    ]) {
      expect(text).toContain(place);
    }
    expect(text).not.toContain('secret');
  });

  test('names the sidecar where the CLI does not look by itself', () => {
    expect(summary({ TM_SIDECAR_ADDRESS: '127.0.0.1:9' })).toContain(
      'resolve acme/cart/production --sidecar 127.0.0.1:9\n',
    );
    const socketOnly = summary({ TM_SIDECAR_ADDRESS: 'off' });
    expect(socketOnly).toContain('resolve acme/cart/production --sidecar unix:/state/sidecar.sock\n');
    expect(socketOnly).toContain('-unix /state/sidecar.sock trafficmanager.v1');
    expect(socketOnly).toContain('\nsidecar        unix:/state/sidecar.sock\n');
  });
});
