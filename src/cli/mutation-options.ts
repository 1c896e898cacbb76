import { Option, type Command } from 'commander';

/** What every mutation takes; the names are those of the API. */
export interface MutationOptions {
  readonly requestId?: string | undefined;
  readonly validateOnly?: boolean | undefined;
}

/** Of mutations of what is there already. */
export interface EtagOption {
  readonly etag?: string | undefined;
}

export function addMutationOptions(command: Command): Command {
  return command
    .option('--request-id <id>', 'repeating the command with the same one returns the first reply, for 24 hours')
    .option('--validate-only', 'show the change, make none');
}

export function addEtagOption(command: Command): Command {
  return command.addOption(new Option('--etag <etag>', 'fail with ABORTED unless this is still the current one'));
}
