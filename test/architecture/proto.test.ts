import { appendFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findBaseline, findBreaks } from '../../deploy/tools/breaking-changes.ts';
import { findStaleCode } from '../../deploy/tools/generated-code.ts';
import { repository, requireCommand } from '../../deploy/tools/run-command.ts';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tm-proto-'));
  await cp(join(repository, 'proto'), join(root, 'proto'), { recursive: true });
  await cp(join(repository, 'buf.yaml'), join(root, 'buf.yaml'));
});
afterEach(async () => {
  await rm(root, { recursive: true });
});

describe('a break of the public contract', () => {
  beforeEach(async () => {
    await git('init', '--quiet', '--initial-branch=main');
    await commit('one');
  });

  it('is none when nothing changed', async () => {
    expect(await findBreaks('HEAD', root)).toBe('');
  });

  it('is none when a field is added', async () => {
    await edit('route.proto', 'string updated_by = 10;', 'string updated_by = 10;\n  // New.\n  string note = 11;');
    expect(await findBreaks('HEAD', root)).toBe('');
  });

  it.each([
    ['a field of another type', 'route.proto', 'int64 revision = 4;', 'int32 revision = 4;', 'changed type'],
    ['a field renamed', 'route.proto', 'string updated_by = 10;', 'string author = 10;', 'changed name'],
    ['a field removed', 'route.proto', /\/\/ Who last changed it.*\n.*updated_by = 10;/, '', 'was deleted'],
    ['a reason renamed', 'error_reason.proto', 'ERROR_REASON_OVERLOADED', 'ERROR_REASON_BUSY', 'changed name'],
    ['a method removed', 'resolver_service.proto', /\/\/ Resolves one key.\n.*Resolve\(.*/, '', 'was deleted'],
  ])('is %s', async (_, file, from, to, message) => {
    await edit(file, from, to);
    expect(await findBreaks('HEAD', root)).toContain(message);
  });

  it('is a failure of buf, not a break, when the protos do not compile', async () => {
    await appendFile(join(root, 'proto/trafficmanager/v1/route.proto'), 'message {');
    await expect(findBreaks('HEAD', root)).rejects.toThrow('buf build ended with');
  });
});

describe('the baseline', () => {
  it('is none without git', async () => {
    expect(await findBaseline(root)).toMatchObject({ kind: 'none' });
  });

  it('is the last release, or the last commit before there is one', async () => {
    await git('init', '--quiet', '--initial-branch=main');
    await commit('one');
    await git('tag', 'validated');
    expect(await findBaseline(root)).toMatchObject({ kind: 'commit' });
    await git('tag', 'v1.0.0');
    await edit('route.proto', 'Routes: where', 'Routes are where');
    await commit('two');
    expect(await findBaseline(root)).toEqual({ kind: 'release', reference: 'v1.0.0' });
    await git('tag', 'v1.1.0');
    expect(await findBaseline(root)).toEqual({ kind: 'release', reference: 'v1.1.0' });
  });
});

describe('stale generated code', () => {
  beforeEach(async () => {
    await cp(join(repository, 'src/gen'), join(root, 'src/gen'), { recursive: true });
  });

  it('is none in the repository', async () => {
    expect(await findStaleCode()).toEqual([]);
  });

  it('is what was edited, removed or left over', async () => {
    await appendFile(join(root, 'src/gen/trafficmanager/v1/route.ts'), '// edited\n');
    await rm(join(root, 'src/gen/trafficmanager/v1/change.ts'));
    await writeFile(join(root, 'src/gen/trafficmanager/v1/left-over.ts'), 'export {};\n');
    expect(await findStaleCode(root)).toEqual([
      'trafficmanager/v1/change.ts',
      'trafficmanager/v1/left-over.ts',
      'trafficmanager/v1/route.ts',
    ]);
  });
});

async function git(...args: string[]): Promise<void> {
  await requireCommand(['git', '-c', 'user.name=test', '-c', 'user.email=test@invalid', ...args], { cwd: root });
}

async function commit(subject: string): Promise<void> {
  await git('add', '--all');
  await git('-c', 'commit.gpgSign=false', 'commit', '--quiet', '--no-verify', '--message', subject);
}

async function edit(file: string, from: string | RegExp, to: string): Promise<void> {
  const path = join(root, 'proto/trafficmanager/v1', file);
  const before = await readFile(path, 'utf8');
  const after = before.replaceAll(from instanceof RegExp ? new RegExp(from, 'g') : from, to);
  expect(after).not.toBe(before);
  await writeFile(path, after);
}
