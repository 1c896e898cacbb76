import { readFile } from 'node:fs/promises';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { SettingError, type Environment } from '../src/platform/environment.ts';
import type { TlsIdentity } from '../src/platform/grpc/listening.ts';

/** Where gRPC listens by TCP, and what callers must show there. A unix socket asks for nothing: its mode guards it. */
export type RemoteAccess = {
  /**
   * `TM_SIDECAR_ADDRESS`: where gRPC listens; `off`: nowhere; 127.0.0.1:7401. Elsewhere than on loopback only with
   * `TM_SIDECAR_REMOTE=on`, TLS, and a token or certificates of clients: whoever reaches it reads every tenant it holds.
   */
  readonly address: string | undefined;
  /** `TM_SIDECAR_TOKEN`: what every call but those of `grpc.health.v1` must send as `authorization: Bearer`; not set: nothing. */
  readonly token: string | undefined;
  /** Not set: plain text. */
  readonly tls: TlsFiles | undefined;
};

/** Paths of files in PEM. */
export type TlsFiles = {
  /** `TM_SIDECAR_TLS_CERT`: its certificate, followed by those that lead to its authority. */
  readonly certificate: string;
  /** `TM_SIDECAR_TLS_KEY`: the key of it, without a passphrase. */
  readonly key: string;
  /** `TM_SIDECAR_TLS_CLIENT_CA`: authorities, one of which must have issued the certificate of every client; not set: clients need none. */
  readonly clientAuthorities: string | undefined;
};

const loopbackPattern = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\]):/;
const credentialVariables = [
  'TM_SIDECAR_TOKEN',
  'TM_SIDECAR_TLS_CERT',
  'TM_SIDECAR_TLS_KEY',
  'TM_SIDECAR_TLS_CLIENT_CA',
];

/** Throws a SettingError that names the variables. Reads no file yet. */
export function readRemoteAccess(environment: Environment): RemoteAccess {
  const isRemote = environment.oneOf('TM_SIDECAR_REMOTE', ['off', 'on'], 'off') === 'on';
  const token = environment.secret('TM_SIDECAR_TOKEN');
  const tls = tlsFilesFrom(environment);
  if (environment.optional('TM_SIDECAR_ADDRESS') === 'off') {
    const idle = credentialVariables.filter((name) => environment.optional(name) !== undefined);
    if (idle.length > 0)
      throw new SettingError(
        `${idle.join(', ')} would guard nothing with TM_SIDECAR_ADDRESS=off: its mode guards a socket`,
      );
    return { address: undefined, token, tls };
  }
  const address = environment.address('TM_SIDECAR_ADDRESS', '127.0.0.1:7401');
  if (loopbackPattern.test(address)) return { address, token, tls };
  const elsewhere = `TM_SIDECAR_ADDRESS=${address} is not a loopback address, and whoever reaches the sidecar reads every tenant it holds`;
  if (!isRemote)
    throw new SettingError(
      `${elsewhere}: if that is meant, set TM_SIDECAR_REMOTE=on, and TM_SIDECAR_TLS_CERT and TM_SIDECAR_TLS_KEY with TM_SIDECAR_TOKEN or TM_SIDECAR_TLS_CLIENT_CA`,
    );
  if (tls === undefined)
    throw new SettingError(
      `${elsewhere}: TM_SIDECAR_REMOTE=on needs TM_SIDECAR_TLS_CERT and TM_SIDECAR_TLS_KEY${token === undefined ? '' : ', for TM_SIDECAR_TOKEN must not go over a network in plain text'}`,
    );
  if (token === undefined && tls.clientAuthorities === undefined)
    throw new SettingError(`${elsewhere}: TM_SIDECAR_REMOTE=on needs TM_SIDECAR_TOKEN or TM_SIDECAR_TLS_CLIENT_CA`);
  return { address, token, tls };
}

function tlsFilesFrom(environment: Environment): TlsFiles | undefined {
  const certificate = environment.optional('TM_SIDECAR_TLS_CERT');
  const key = environment.optional('TM_SIDECAR_TLS_KEY');
  const clientAuthorities = environment.optional('TM_SIDECAR_TLS_CLIENT_CA');
  if (certificate !== undefined && key !== undefined) return { certificate, key, clientAuthorities };
  if (certificate !== undefined) throw new SettingError('TM_SIDECAR_TLS_CERT needs TM_SIDECAR_TLS_KEY');
  if (key !== undefined) throw new SettingError('TM_SIDECAR_TLS_KEY needs TM_SIDECAR_TLS_CERT');
  if (clientAuthorities !== undefined)
    throw new SettingError('TM_SIDECAR_TLS_CLIENT_CA needs TM_SIDECAR_TLS_CERT and TM_SIDECAR_TLS_KEY');
  return undefined;
}

/** Reads the files, once; throws a SettingError that names the variable of the one that cannot be used. */
export async function readTlsIdentity(files: TlsFiles): Promise<TlsIdentity> {
  const certificate = await readPem('TM_SIDECAR_TLS_CERT', files.certificate);
  const key = await readPem('TM_SIDECAR_TLS_KEY', files.key);
  const leaf = parsed(
    () => new X509Certificate(certificate),
    `TM_SIDECAR_TLS_CERT=${files.certificate} is no certificate in PEM`,
  );
  const privateKey = parsed(
    () => createPrivateKey(key),
    `TM_SIDECAR_TLS_KEY=${files.key} is no key in PEM without a passphrase`,
  );
  if (!leaf.checkPrivateKey(privateKey))
    throw new SettingError(
      `TM_SIDECAR_TLS_KEY=${files.key} is not the key of the first certificate of TM_SIDECAR_TLS_CERT=${files.certificate}`,
    );
  parsed(
    () => createSecureContext({ cert: certificate, key }),
    `TM_SIDECAR_TLS_CERT=${files.certificate} cannot be used for TLS`,
  );
  const { clientAuthorities: path } = files;
  if (path === undefined) return { certificate, key, clientAuthorities: undefined };
  const clientAuthorities = await readPem('TM_SIDECAR_TLS_CLIENT_CA', path);
  // TLS takes what is no certificate for an empty list of authorities, and then no client gets in.
  parsed(() => new X509Certificate(clientAuthorities), `TM_SIDECAR_TLS_CLIENT_CA=${path} is no certificate in PEM`);
  return { certificate, key, clientAuthorities };
}

async function readPem(variable: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new SettingError(`${variable}=${path} cannot be read: ${why}`, { cause: error });
  }
}

function parsed<Value>(parse: () => Value, problem: string): Value {
  try {
    return parse();
  } catch (error) {
    throw new SettingError(problem, { cause: error });
  }
}
