import { readFileSync } from 'node:fs';
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { TlsSettings } from '../client/index.ts';

interface TlsOptions {
  readonly tls?: boolean;
  readonly tlsCa?: Buffer;
  readonly tlsCert?: Buffer;
  readonly tlsKey?: Buffer;
  readonly tlsServerName?: string;
}

/** Declares the options on the program. */
export function addTlsOptions(program: Command): void {
  program
    .addOption(new Option('--tls', 'speak TLS; the other --tls options mean it too'))
    .addOption(
      new Option('--tls-ca <file>', "whose certificates to believe, in PEM (default: Node's)").argParser(readPem),
    )
    .addOption(new Option('--tls-cert <file>', 'to show to a server that asks for one, in PEM').argParser(readPem))
    .addOption(new Option('--tls-key <file>', 'of --tls-cert, in PEM').argParser(readPem))
    .addOption(new Option('--tls-server-name <name>', "in the server's certificate (default: the host)"));
}

/** What the options say; undefined: plain text. */
export function tlsSettings(command: Command): TlsSettings | undefined {
  const { tls, tlsCa, tlsCert, tlsKey, tlsServerName } = command.optsWithGlobals<TlsOptions>();
  const settings = { authorities: tlsCa, certificate: tlsCert, key: tlsKey, serverName: tlsServerName };
  const isSet = tls === true || Object.values(settings).some((value) => value !== undefined);
  return isSet ? settings : undefined;
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new InvalidArgumentError(`It cannot be read: ${why}.`);
  }
}
