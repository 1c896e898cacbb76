import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { stopLeftoverNats } from '../../deploy/embedded/nats-server.ts';
import { stopLeftoverPostgres } from '../../deploy/embedded/postmaster-file.ts';
import { ensurePrivateDirectory } from '../../deploy/embedded/private-directory.ts';
import { identifySelf, isRunning, type ProcessIdentity } from '../../deploy/embedded/process-identity.ts';

/** A directory for one test; disposing removes it. */
export interface ScratchDirectory extends AsyncDisposable {
  readonly path: string;
}

/** The user's own, shared by all runs: what is expensive to make stays here. Others may pass through, as Postgres must. */
export async function sharedScratch(): Promise<string> {
  const path = join(tmpdir(), `traffic-manager-test-${process.geteuid?.() ?? 0}`);
  await ensurePrivateDirectory(path, { mode: 0o711, setting: 'TMPDIR' });
  return path;
}

/** Makes an empty directory, and removes those that killed runs have left, with the servers in them. */
export async function makeScratchDirectory(): Promise<ScratchDirectory> {
  const parent = await sharedScratch();
  const self = await identifySelf();
  await removeAbandoned(parent);
  const path = await mkdtemp(join(parent, `run-${encode(self)}-`));
  await chmod(path, 0o711);
  return { path, [Symbol.asyncDispose]: async () => await rm(path, { recursive: true, force: true }) };
}

async function removeAbandoned(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const owner = decode(name);
    if (owner === undefined || (await isRunning(owner))) continue;
    const path = join(parent, name);
    for (const file of await readdir(path, { recursive: true }).catch(() => [])) {
      const directory = join(path, dirname(file));
      if (basename(file) === 'postmaster.pid') await stopLeftoverPostgres(directory);
      if (basename(file) === 'nats.pid') await stopLeftoverNats(directory);
    }
    await rm(path, { recursive: true, force: true });
  }
}

function encode(identity: ProcessIdentity): string {
  return `${identity.pid}-${Buffer.from(identity.started).toString('hex')}`;
}

function decode(name: string): ProcessIdentity | undefined {
  const [, pid, started] = /^run-(\d+)-([0-9a-f]+)-/.exec(name) ?? [];
  if (pid === undefined || started === undefined) return undefined;
  return { pid: Number(pid), started: Buffer.from(started, 'hex').toString('utf8') };
}
