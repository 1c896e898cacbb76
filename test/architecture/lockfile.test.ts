import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { completeLockfile, findAddresses, platformOf, readLockfile } from '../../deploy/tools/lockfile.ts';
import { repository } from '../../deploy/tools/run-command.ts';

describe('package-lock.json', () => {
  it('has every optional package, for every platform: else npm ci refuses it', async () => {
    expect(completeLockfile(await readLockfile()), 'npm run lockfile').toEqual([]);
  });

  it('names no registry', async () => {
    expect(findAddresses(await readLockfile())).toEqual([]);
  });

  it('is completed with what is missing, for its platform only, and once', () => {
    const lockfile = {
      packages: {
        '': {},
        'node_modules/tool': {
          version: '1.0.0',
          dev: true,
          optionalDependencies: { '@tool/linux-arm64-musl': '1.0.0' },
        },
      },
    };
    expect(completeLockfile(lockfile)).toEqual(['@tool/linux-arm64-musl']);
    expect(lockfile.packages).toMatchObject({
      'node_modules/@tool/linux-arm64-musl': {
        version: '1.0.0',
        os: ['linux'],
        cpu: ['arm64'],
        libc: ['musl'],
        dev: true,
        optional: true,
      },
    });
    expect(completeLockfile(lockfile)).toEqual([]);
  });

  it.each([
    ['@bufbuild/buf-darwin-arm64', 'darwin', 'arm64', undefined],
    ['@bufbuild/buf-linux-armv7', 'linux', 'arm', undefined],
    ['@oxfmt/binding-linux-x64-gnu', 'linux', 'x64', 'glibc'],
    ['@oxfmt/binding-linux-arm-musleabihf', 'linux', 'arm', 'musl'],
    ['@oxfmt/binding-win32-x64-msvc', 'win32', 'x64', undefined],
    ['@oxfmt/binding-android-arm-eabi', 'android', 'arm', undefined],
  ])('reads the platform of %s', (name, os, cpu, libc) => {
    expect(platformOf(name)).toEqual({ os: [os], cpu: [cpu], libc: libc === undefined ? undefined : [libc] });
  });

  it('refuses a package that names no platform', () => {
    expect(() => platformOf('fsevents')).toThrow('names no platform');
  });
});

describe('package.json', () => {
  it('pins exactly', () => {
    const text = readFileSync(join(repository, 'package.json'), 'utf8');
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(text) as Record<string, object>;
    const versions = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies });
    expect(versions.length).toBeGreaterThan(0);
    for (const [name, version] of versions) expect(version, name).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
  });
});
