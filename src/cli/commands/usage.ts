import type { Command } from 'commander';
import { timeOption } from '../at-options.ts';
import { connect, openOutput } from '../global-options.ts';
import { addPagingOptions, listAll, type PagingOptions } from '../list-all.ts';
import type { Terminal } from '../terminal.ts';

interface ListOptions extends PagingOptions {
  readonly service?: string;
  readonly environment?: string;
  readonly version?: string;
  readonly startTime?: Date;
}

export function addUsageCommands(program: Command, terminal: Terminal): void {
  const usage = program.command('usage').description('read which versions are looked up');
  const list = usage
    .command('list')
    .description('list the versions that sidecars were asked for, how often, and in which hour last')
    .argument('<tenant>')
    .option('--service <name>', 'of this service only')
    .option('--environment <name>', 'in this environment only')
    .option('--version <name>', 'of this version only')
    .addOption(timeOption('--start-time', 'looked up in the hour of this moment or later'));
  addPagingOptions(list).action(async (tenant: string, options: ListOptions, command: Command) => {
    using client = connect(command, 'control plane', terminal);
    const { service, environment, version, startTime } = options;
    const { entries, nextPageToken } = await listAll(options, async (page) => {
      const answer = await client.usage.listUsage({ tenant, service, environment, version, startTime, ...page });
      return { entries: answer.usages, nextPageToken: answer.nextPageToken };
    });
    await openOutput(command, terminal).result({ usages: entries, nextPageToken });
  });
}
