import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { errorCode } from './private-directory.ts';
import { StartError } from './start-error.ts';

/** A user that a program runs as instead of ours. */
export interface RunAs {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Whom Postgres runs as: it refuses root, so root drops to `nobody` (which every system has; making a user would change
 * the host for good). Undefined for everybody else: they run it as themselves.
 */
export async function findServerUser(): Promise<RunAs | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  if (process.platform !== 'linux') {
    throw new StartError('Postgres does not run as root: start as a plain user, or set DATABASE_URL');
  }
  return await findNobody();
}

async function findNobody(): Promise<RunAs> {
  const accounts = await readFile('/etc/passwd', 'utf8').catch(() => '');
  return parseNobody(accounts) ?? { uid: 65_534, gid: 65_534 };
}

/**
 * What goes before a program that asks for the name of its user, as initdb does, when that has none: containers run
 * programs as any number. A user namespace in which we are `nobody` gives it one and changes nothing else. Empty for a
 * user with a name.
 */
export async function nameUser(hasName: () => boolean = hasAccount): Promise<string[]> {
  if (process.platform !== 'linux' || hasName()) return [];
  const { uid, gid } = await findNobody();
  return ['unshare', '--user', `--map-user=${uid}`, `--map-group=${gid}`, '--'];
}

function hasAccount(): boolean {
  try {
    return userInfo().username !== '';
  } catch (error) {
    // uv_os_get_passwd finds no account.
    if (errorCode(error) === 'ERR_SYSTEM_ERROR') return false;
    throw error;
  }
}

/** Reads `nobody` out of the text of /etc/passwd; undefined when it is not there, or is root. */
export function parseNobody(accounts: string): RunAs | undefined {
  const [, , uid, gid] =
    accounts
      .split('\n')
      .map((line) => line.split(':'))
      .find(([name]) => name === 'nobody') ?? [];
  const user = { uid: Number(uid), gid: Number(gid) };
  return Number.isSafeInteger(user.uid) && Number.isSafeInteger(user.gid) && user.uid > 0 && user.gid > 0
    ? user
    : undefined;
}
