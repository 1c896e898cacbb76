import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { SettingError, type Environment } from '../src/platform/environment.ts';
import { sidecarLimits } from './limits.ts';

/** The unix socket that apps of this machine use. */
export type SocketSetting = {
  /** `TM_SIDECAR_SOCKET`: path of a unix socket (mode 0600); `off`: none; not set: {@link defaultSocketPath}, where that can be had. */
  readonly socketPath: string | undefined;
  /** Nobody asked for this path: its directory is made, and where that cannot be the sidecar goes without a socket. */
  readonly isDefaultSocket: boolean;
  /** `TM_SIDECAR_SOCKET_GROUP`: the number of a group whose members may use the socket too (mode 0660); not set: none. */
  readonly socketGroupId: number | undefined;
};

/** Where the socket goes by itself: in the directory of the user's session, if there is one, else where services have theirs. */
function defaultSocketPath(environment: Environment): string {
  const session = environment.optional('XDG_RUNTIME_DIR');
  const base = session !== undefined && isAbsolute(session) ? session : '/run';
  return join(base, 'traffic-manager', 'sidecar.sock');
}

/** Throws a SettingError that names the variable. Makes nothing yet. */
export function readSocketSetting(environment: Environment): SocketSetting {
  const asked = environment.optional('TM_SIDECAR_SOCKET');
  const isChosen = asked !== undefined && asked !== 'off';
  if (isChosen && Buffer.byteLength(asked) > sidecarLimits.socketPathBytesMax)
    throw new SettingError(
      `TM_SIDECAR_SOCKET is longer than a socket's path can be (${sidecarLimits.socketPathBytesMax} bytes)`,
    );
  const hasGroup = environment.optional('TM_SIDECAR_SOCKET_GROUP') !== undefined;
  // The directory of the default one is for its own user: the group could not reach it.
  if (hasGroup && !isChosen)
    throw new SettingError('TM_SIDECAR_SOCKET_GROUP needs TM_SIDECAR_SOCKET, in a directory that the group may enter');
  const socketGroupId = hasGroup
    ? environment.integer('TM_SIDECAR_SOCKET_GROUP', { fallback: 0, min: 0, max: 4_294_967_294 })
    : undefined;
  if (asked === 'off') return { socketPath: undefined, isDefaultSocket: false, socketGroupId };
  return { socketPath: asked ?? defaultSocketPath(environment), isDefaultSocket: !isChosen, socketGroupId };
}

/** Makes the directory of the default socket (mode 0700) unless it is there; why there cannot be a socket; undefined: there can. */
export async function prepareDefaultSocket(path: string): Promise<string | undefined> {
  if (Buffer.byteLength(path) > sidecarLimits.socketPathBytesMax)
    return `its path would be longer than ${sidecarLimits.socketPathBytesMax} bytes`;
  const directory = dirname(path);
  try {
    await mkdir(directory, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') return `${directory} cannot be made: ${codeOf(error)}`;
  }
  try {
    await access(directory, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return `${directory} cannot be used: ${codeOf(error)}`;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
