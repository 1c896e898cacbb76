import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repository } from './run-command.ts';

/** What we read and write of one entry of package-lock.json; npm's other fields stay as they are. */
interface LockedPackage {
  readonly version?: string;
  readonly resolved?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
}

interface Platform {
  readonly os: readonly string[];
  readonly cpu: readonly string[];
  readonly libc: readonly string[] | undefined;
}

export interface Lockfile {
  packages: Record<string, LockedPackage>;
}

export async function readLockfile(root: string = repository): Promise<Lockfile> {
  return JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as Lockfile;
}

export async function writeLockfile(lockfile: Lockfile, root: string = repository): Promise<void> {
  await writeFile(join(root, 'package-lock.json'), `${JSON.stringify(lockfile, null, 2)}\n`);
}

/** Entries that name a registry. Ours is nobody else's. */
export function findAddresses(lockfile: Lockfile): string[] {
  return Object.entries(lockfile.packages)
    .filter(([, { resolved }]) => resolved?.includes('://'))
    .map(([path]) => path);
}

/**
 * Adds the optional packages for other platforms that npm left out, and returns their names. npm leaves out what its
 * registry does not have, and ours has few of the binaries for other platforms; then `npm ci` refuses the lockfile as
 * incomplete, on every platform. An entry without `integrity` is installed unchecked, by the platforms it is for only.
 */
export function completeLockfile(lockfile: Lockfile): string[] {
  const added: string[] = [];
  for (const parent of Object.values(lockfile.packages)) {
    for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
      const path = `node_modules/${name}`;
      const isLocked = Object.keys(lockfile.packages).some((each) => each === path || each.endsWith(`/${path}`));
      if (isLocked) continue;
      if (!/^\d+\.\d+\.\d+$/.test(version)) throw new Error(`${name}: ${version} is no exact version`);
      const { os, cpu, libc } = platformOf(name);
      // In npm's own order of fields, so that it does not reorder them.
      lockfile.packages[path] = {
        version,
        cpu,
        ...(parent.dev === true ? { dev: true } : {}),
        ...(libc === undefined ? {} : { libc }),
        optional: true,
        os,
      };
      added.push(name);
    }
  }
  lockfile.packages = Object.fromEntries(
    Object.entries(lockfile.packages).toSorted(([a], [b]) => a.localeCompare(b, 'en')),
  );
  return added;
}

const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];

/** What `package.json` calls the parts of names such as `binding-linux-arm-gnueabihf`. */
const processors: Readonly<Record<string, string>> = { aarch64: 'arm64', armv7: 'arm' };
const libraries: readonly (readonly [RegExp, string])[] = [
  [/^gnu/, 'glibc'],
  [/^musl/, 'musl'],
];

/** The platform that a package is for, read from its name. Throws when it cannot: npm would install it everywhere. */
export function platformOf(name: string): Platform {
  const parts = name.split(/[/-]/);
  const system = parts.findIndex((part) => systems.includes(part));
  const processor = parts[system + 1];
  if (system < 0 || processor === undefined) throw new Error(`${name} names no platform`);
  const library = libraries.find(([pattern]) => pattern.test(parts[system + 2] ?? ''))?.[1];
  return {
    os: [parts[system] ?? ''],
    cpu: [processors[processor] ?? processor],
    libc: parts[system] === 'linux' && library !== undefined ? [library] : undefined,
  };
}
