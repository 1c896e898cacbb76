import type { Command } from 'commander';
import { durationFromMs } from '../duration.ts';
import { connect, openOutput, parseDurationOption } from '../global-options.ts';
import { collect, parseRevision } from '../option-values.ts';
import type { Terminal } from '../terminal.ts';

interface WatchOptions {
  readonly service?: string[];
  readonly environment?: string[];
  readonly afterRevision?: bigint;
  readonly afterCommitId?: string;
  readonly progressInterval?: number;
  readonly everyChange?: true;
}

export function addWatchCommand(program: Command, terminal: Terminal): void {
  program
    .command('watch')
    .description('print what a tenant has, then every change to it, until Ctrl-C')
    .argument('<tenant>')
    .option('--service <name>', 'of this service only; repeatable', collect)
    .option('--environment <name>', 'of this environment only; repeatable', collect)
    .option('--after-revision <revision>', 'resume: what came after it, and no snapshot', parseRevision)
    .option('--after-commit-id <id>', 'that came with that revision, to be sure of its history')
    .option('--progress-interval <duration>', 'longest silence', parseDurationOption)
    .option('--every-change', 'never skip to the newest change of a route when this terminal is slow')
    .action(async (tenant: string, options: WatchOptions, command: Command) => {
      using client = connect(command, 'sidecar', terminal);
      const { service: services, environment: environments, afterRevision, afterCommitId, everyChange } = options;
      const progressInterval =
        options.progressInterval === undefined ? undefined : durationFromMs(options.progressInterval);
      const request = { tenant, services, environments, afterRevision, afterCommitId, progressInterval, everyChange };
      await openOutput(command, terminal).stream(client.watch(request));
    });
}
