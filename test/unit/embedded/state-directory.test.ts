import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findServerUser } from '../../../deploy/embedded/run-as.ts';
import { locateStateDirectory, openStateDirectory } from '../../../deploy/embedded/state-directory.ts';

const nobody = { uid: 65_534, gid: 65_534 };

describe('where the state is kept', () => {
  const workingDirectory = '/home/ada/shop mesh';

  test('beside the sources for a plain user', () => {
    const located = locateStateDirectory({ requested: undefined, workingDirectory, serverUser: undefined });
    expect(located).toBe('/home/ada/shop mesh/.traffic-manager');
  });

  test('outside closed directories for root, one for each checkout', () => {
    const located = locateStateDirectory({ requested: '', workingDirectory, serverUser: nobody });
    expect(located).toMatch(/^\/var\/lib\/traffic-manager\/shop_mesh-[0-9a-f]{8}$/);
    const other = locateStateDirectory({
      requested: undefined,
      workingDirectory: '/srv/shop mesh',
      serverUser: nobody,
    });
    expect(other).not.toBe(located);
    expect(locateStateDirectory({ requested: undefined, workingDirectory: '/', serverUser: nobody })).toMatch(
      /\/root-/,
    );
  });

  test('where TM_STATE_DIR says', () => {
    const locate = (requested: string): string =>
      locateStateDirectory({ requested, workingDirectory, serverUser: nobody });
    expect(locate('/data/tm')).toBe('/data/tm');
    expect(locate('tm')).toBe('/home/ada/shop mesh/tm');
  });
});

describe('a state directory', () => {
  let parent: string;

  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), 'state-'));
    await chmod(parent, 0o711);
  });

  afterEach(async () => {
    await rm(parent, { recursive: true });
  });

  async function open(requested: string) {
    return await openStateDirectory({ requested, workingDirectory: parent, serverUser: await findServerUser() });
  }

  test('is made with its parents, is ours to write and can be passed through when Postgres is another user', async () => {
    await using state = await open('a/b');
    expect(state.path).toBe(join(parent, 'a', 'b'));
    expect((await stat(state.path)).mode & 0o777).toBe((await findServerUser()) === undefined ? 0o700 : 0o711);
    expect((await stat(state.logs)).mode & 0o077).toBe(0);
  });

  test('is used by one run at a time', async () => {
    const first = await open('state');
    await expect(open('state')).rejects.toThrow(
      `already running as pid ${process.pid} with the state in ${first.path}`,
    );
    await first[Symbol.asyncDispose]();
    await (await open('state'))[Symbol.asyncDispose]();
  });

  test('is refused in one line when it cannot be used', async () => {
    await writeFile(join(parent, 'file'), '');
    await expect(open('file')).rejects.toThrow(/cannot make .*file \(EEXIST\): set TM_STATE_DIR/);
    await expect(open('file/state')).rejects.toThrow(/cannot make .*\(ENOTDIR\): set TM_STATE_DIR/);
    await mkdir(join(parent, 'open'));
    await chmod(join(parent, 'open'), 0o777);
    await expect(open('open')).rejects.toThrow(/is writable by other users: set TM_STATE_DIR/);
    await mkdir(join(parent, 'real'));
    await symlink(join(parent, 'real'), join(parent, 'link'));
    await expect(open('link')).rejects.toThrow(/is a symbolic link/);
  });

  test('is refused when we, or the user that Postgres runs as, cannot use it', async () => {
    const isRoot = process.getuid?.() === 0;
    await mkdir(join(parent, 'closed'), { mode: isRoot ? 0o700 : 0o500 });
    const problem = isRoot ? /cannot be entered by uid \d+, which Postgres runs as/ : /cannot make .*\(EACCES\)/;
    await expect(open('closed/state')).rejects.toThrow(problem);
    await expect(open('closed/state')).rejects.toThrow(/set TM_STATE_DIR/);
    await chmod(join(parent, 'closed'), 0o700);
    // A closed one that is ours to open, such as one of mktemp, is opened as far as it must be.
    await using state = await open('closed');
    expect((await stat(state.path)).mode & 0o777).toBe(isRoot ? 0o711 : 0o700);
  });
});
