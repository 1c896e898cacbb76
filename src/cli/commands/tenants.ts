import type { Command } from 'commander';
import { message, Tenant } from '../../client/index.ts';
import { connect, openOutput } from '../global-options.ts';
import { addPagingOptions, listAll, type PagingOptions } from '../list-all.ts';
import { addMutationOptions, type MutationOptions } from '../mutation-options.ts';
import type { Terminal } from '../terminal.ts';

interface CreateOptions extends MutationOptions {
  readonly displayName?: string;
}

export function addTenantsCommands(program: Command, terminal: Terminal): void {
  const tenants = program.command('tenants').description('read and create tenants');
  const list = tenants.command('list').description('list the tenants in the order of their names');
  addPagingOptions(list).action(async (options: PagingOptions, command: Command) => {
    using client = connect(command, 'control plane', terminal);
    const { entries, nextPageToken } = await listAll(options, async (page) => {
      const answer = await client.tenants.listTenants(page);
      return { entries: answer.tenants, nextPageToken: answer.nextPageToken };
    });
    await openOutput(command, terminal).result({ tenants: entries, nextPageToken });
  });

  const create = tenants
    .command('create')
    .description('create a tenant; equal to what is there, it changes nothing')
    .argument('<tenant>')
    .option('--display-name <name>', 'for people');
  addMutationOptions(create).action(async (name: string, options: CreateOptions, command: Command) => {
    using client = connect(command, 'control plane', terminal);
    const { displayName, requestId, validateOnly } = options;
    const tenant = message(Tenant, { tenant: name, displayName });
    await openOutput(command, terminal).result(await client.tenants.createTenant({ tenant, requestId, validateOnly }));
  });
}
