import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensurePrivateDirectory } from './private-directory.ts';
import { StartError } from './start-error.ts';

/** `sun_path` less the byte that ends it: 108 on Linux (unix(7)), 104 on macOS. */
const socketPathBytesMax = process.platform === 'linux' ? 107 : 103;

/** What decides the path. */
export interface SocketPathOptions {
  /** `TM_SIDECAR_SOCKET`; undefined: choose one. */
  readonly requested: string | undefined;
  readonly stateDirectory: string;
  /** Default: the system's. */
  readonly temporaryDirectory?: string;
}

/** Where the sidecar's socket goes. */
export interface SocketPath {
  readonly path: string;
  /** The one in the state directory would have been too long. */
  readonly shortened: boolean;
}

/**
 * Chooses a path that a socket can have, in a directory that nobody else writes into, and removes the socket that a killed
 * run left there (the state directory is locked, so it is nobody's).
 */
export async function chooseSocketPath(options: SocketPathOptions): Promise<SocketPath> {
  // Without one nothing here could ask the sidecar whether it works.
  if (options.requested === 'off')
    throw new StartError('TM_SIDECAR_SOCKET=off is for a sidecar by itself: npm start needs the socket');
  if (options.requested !== undefined) {
    if (!fits(options.requested)) {
      throw new StartError(
        `TM_SIDECAR_SOCKET is longer than a socket's path can be (${socketPathBytesMax} bytes): choose a shorter one`,
      );
    }
    return { path: options.requested, shortened: false };
  }
  const usual = join(options.stateDirectory, 'sidecar.sock');
  if (fits(usual)) {
    await rm(usual, { force: true });
    return { path: usual, shortened: false };
  }
  // Named after the state directory, so that it is the same at each start.
  const hash = createHash('sha256').update(options.stateDirectory).digest('hex').slice(0, 12);
  const directory = join(options.temporaryDirectory ?? tmpdir(), `traffic-manager-${hash}`);
  await ensurePrivateDirectory(directory, { mode: 0o700, setting: 'TM_SIDECAR_SOCKET' });
  const path = join(directory, 'sidecar.sock');
  if (!fits(path)) throw new StartError(`${path} is too long for a socket: set TM_SIDECAR_SOCKET to a shorter path`);
  await rm(path, { force: true });
  return { path, shortened: true };
}

function fits(path: string): boolean {
  return Buffer.byteLength(path) <= socketPathBytesMax;
}
