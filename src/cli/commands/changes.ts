import { Option, type Command } from 'commander';
import { ChangeAction, ChangeOrder } from '../../client/index.ts';
import { timeOption } from '../at-options.ts';
import { connect, openOutput } from '../global-options.ts';
import { addPagingOptions, listAll, type PagingOptions } from '../list-all.ts';
import { parseRevision } from '../option-values.ts';
import type { Terminal } from '../terminal.ts';

const actions = ['CREATED', 'UPDATED', 'ACTIVATED', 'DEACTIVATED', 'DELETED', 'UNDELETED'] as const;

interface ListOptions extends PagingOptions {
  readonly service?: string;
  readonly environment?: string;
  readonly version?: string;
  readonly action?: readonly (typeof actions)[number][];
  readonly byActor?: string;
  readonly byCorrelationId?: string;
  readonly revisionMin?: bigint;
  readonly revisionMax?: bigint;
  readonly startTime?: Date;
  readonly endTime?: Date;
  readonly oldestFirst?: boolean;
}

export function addChangesCommands(program: Command, terminal: Terminal): void {
  const changes = program.command('changes').description('read what was changed, by whom and when');
  const list = changes
    .command('list')
    .description("list a tenant's changes, newest first, each with what was before and after")
    .argument('<tenant>')
    .option('--service <name>', 'of this service only')
    .option('--environment <name>', 'in this environment only')
    .option('--version <name>', 'of routes of this version only')
    .addOption(new Option('--action <action...>', 'only these').choices(actions))
    .option('--by-actor <name>', 'only by this one')
    .option('--by-correlation-id <id>', 'only with this one')
    .option('--revision-min <revision>', 'from this one on', parseRevision)
    .option('--revision-max <revision>', 'up to this one', parseRevision)
    .addOption(timeOption('--start-time', 'committed at this moment or later'))
    .addOption(timeOption('--end-time', 'committed before this moment'))
    .option('--oldest-first', 'from the oldest that is kept');
  addPagingOptions(list).action(async (tenant: string, options: ListOptions, command: Command) => {
    using client = connect(command, 'control plane', terminal);
    const { service, environment, version, revisionMin, revisionMax, startTime, endTime } = options;
    const request = {
      tenant,
      service,
      environment,
      version,
      actions: options.action?.map((action) => ChangeAction[`CHANGE_ACTION_${action}`]),
      actor: options.byActor,
      correlationId: options.byCorrelationId,
      revisionMin,
      revisionMax,
      startTime,
      endTime,
      order:
        options.oldestFirst === true ? ChangeOrder.CHANGE_ORDER_OLDEST_FIRST : ChangeOrder.CHANGE_ORDER_NEWEST_FIRST,
    };
    const { entries, nextPageToken } = await listAll(options, async (page) => {
      const answer = await client.changes.listChanges({ ...request, ...page });
      return { entries: answer.changes, nextPageToken: answer.nextPageToken };
    });
    await openOutput(command, terminal).result({ changes: entries, nextPageToken });
  });
}
