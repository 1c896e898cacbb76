import { InvalidArgumentError, Option, type Command } from 'commander';
import { createClient, parseAddress, TrafficManagerError, type TrafficManagerClient } from '../client/index.ts';
import { Environment } from '../platform/environment.ts';
import { parseDurationMs } from './duration.ts';
import { createOutput, type Output, type OutputFormat } from './output.ts';
import type { Terminal } from './terminal.ts';
import { addTlsOptions, tlsSettings } from './tls-options.ts';

/** Options that every command takes, before or after its name. */
interface GlobalOptions {
  readonly address: string;
  readonly sidecar: string;
  readonly timeout: number;
  readonly actor: string;
  readonly correlationId: string;
  readonly token?: string;
  readonly output: OutputFormat;
}

/** Which server a command is for: a sidecar answers lookups and watches, a control plane everything. */
export type ServerRole = 'control plane' | 'sidecar';

/** Declares the options on the program. */
export function addGlobalOptions(program: Command, { env, actor, newCorrelationId }: Terminal): void {
  program
    .addOption(
      new Option('--address <address>', 'of the control plane; env TM_CONTROL_PLANE_ADDRESS')
        .default(env['TM_CONTROL_PLANE_ADDRESS'] ?? '127.0.0.1:7400')
        .argParser(checkAddress),
    )
    .addOption(
      new Option('--sidecar <address>', 'of the sidecar, for resolve and watch; env TM_SIDECAR_ADDRESS')
        .default(env['TM_SIDECAR_ADDRESS'] ?? '127.0.0.1:7401')
        .argParser(checkAddress),
    )
    .addOption(
      new Option('--timeout <duration>', 'for each call, such as 500ms or 5s; a watch has none')
        .default(5_000, '5s')
        .argParser(parseDurationOption),
    )
    .addOption(new Option('--actor <name>', 'for the audit log').default(actor))
    .addOption(new Option('--correlation-id <id>', 'for every log').default(newCorrelationId(), 'a new one'))
    .addOption(
      new Option(
        '--token <token>',
        "the administrators', for tenants; of a sidecar, its own; env TM_ADMIN_TOKEN, TM_SIDECAR_TOKEN",
      ).default(new Environment(env).optional('TM_ADMIN_TOKEN'), 'env'),
    )
    .addOption(new Option('--output <format>', 'of results').default('json').choices(['json', 'yaml']));
  addTlsOptions(program);
}

/** A client of the server that the command is for. The caller disposes of it. */
export function connect(command: Command, role: ServerRole, { env, signal }: Terminal): TrafficManagerClient {
  const { timeout: timeoutMs, actor, correlationId, address, sidecar, token: administrators } = globalOptions(command);
  const isSidecar = role === 'sidecar' && !asksControlPlane(command);
  // The administrators' token is none of a sidecar's business.
  const ofSidecar = new Environment(env).optional('TM_SIDECAR_TOKEN');
  const token = isSidecar && !isGiven(command, 'token') ? ofSidecar : administrators;
  return createClient({
    address: isSidecar ? sidecar : address,
    tls: tlsSettings(command),
    // A few calls at most: the engine's files would take longer to read than they make up for.
    channel: 'grpc-js',
    defaults: { timeoutMs, actor, correlationId, token, signal },
  });
}

/** Where the command's results go, in the format asked for. */
export function openOutput(command: Command, { stdout, signal }: Terminal): Output {
  return createOutput(stdout, globalOptions(command).output, signal);
}

export function globalOptions(command: Command): GlobalOptions {
  return command.optsWithGlobals<GlobalOptions>();
}

/** Reads `500ms`, `5s`, `2m`, `1h` into milliseconds. */
export function parseDurationOption(text: string): number {
  const durationMs = parseDurationMs(text);
  if (durationMs === undefined || durationMs <= 0) {
    throw new InvalidArgumentError('It must be a duration such as 500ms, 5s, 2m or 1h.');
  }
  return durationMs;
}

/** Who types `resolve … --address X` means X, although sidecars are the default there. */
function asksControlPlane(command: Command): boolean {
  return isGiven(command, 'address') && !isGiven(command, 'sidecar');
}

function isGiven(command: Command, name: string): boolean {
  return command.getOptionValueSourceWithGlobals(name) === 'cli';
}

function checkAddress(address: string): string {
  try {
    parseAddress(address);
  } catch (error) {
    if (error instanceof TrafficManagerError) throw new InvalidArgumentError(error.message);
    throw error;
  }
  return address;
}
