import { Option, type Command } from 'commander';
import { message, Tenant, type TenantQuotas } from '../../client/index.ts';
import { connect, openOutput } from '../global-options.ts';
import { addPagingOptions, listAll, type PagingOptions } from '../list-all.ts';
import { addEtagOption, addMutationOptions, type EtagOption, type MutationOptions } from '../mutation-options.ts';
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
  addUpdate(tenants, terminal);
  addNamed(tenants, terminal, {
    name: 'delete',
    description: 'take a tenant out of use, keeping everything',
    method: 'deleteTenant',
  });
  addNamed(tenants, terminal, {
    name: 'undelete',
    description: 'bring a deleted tenant back',
    method: 'undeleteTenant',
  });
  addRollback(tenants, terminal);
  addStream(tenants, terminal);
}

const quotaOptions = {
  routesMax: '--routes-max <count>',
  watchersMax: '--watchers-max <count>',
  writesPerSecond: '--writes-per-second <count>',
  lookupsPerSecond: '--lookups-per-second <count>',
} as const satisfies Record<keyof TenantQuotas, string>;

function addUpdate(tenants: Command, terminal: Terminal): void {
  const update = tenants
    .command('update')
    .description('replace the display name, or the quotas: those not given get their defaults')
    .argument('<tenant>')
    .option('--display-name <name>', 'for people');
  for (const flags of Object.values(quotaOptions)) update.addOption(new Option(flags).argParser(Number));
  addMutationOptions(addEtagOption(update)).action(
    async (name: string, options: CreateOptions & EtagOption & TenantQuotas, command: Command) => {
      using client = connect(command, 'control plane', terminal);
      const { displayName, etag, requestId, validateOnly, routesMax, watchersMax, writesPerSecond, lookupsPerSecond } =
        options;
      const quotas = { routesMax, watchersMax, writesPerSecond, lookupsPerSecond };
      const updateMask = [
        ...(displayName === undefined ? [] : ['display_name']),
        ...(Object.values(quotas).every((quota) => quota === undefined) ? [] : ['quotas']),
      ];
      if (updateMask.length === 0) command.error('error: give --display-name or a quota');
      const tenant = message(Tenant, { tenant: name, displayName, quotas, etag });
      const request = { tenant, updateMask, requestId, validateOnly };
      await openOutput(command, terminal).result(await client.tenants.updateTenant(request));
    },
  );
}

interface NamedCommand {
  readonly name: string;
  readonly description: string;
  readonly method: 'deleteTenant' | 'undeleteTenant';
}

function addNamed(tenants: Command, terminal: Terminal, { name, description, method }: NamedCommand): void {
  const named = tenants.command(name).description(description).argument('<tenant>');
  addMutationOptions(addEtagOption(named)).action(
    async (tenant: string, options: EtagOption & MutationOptions, command: Command) => {
      using client = connect(command, 'control plane', terminal);
      const { etag, requestId, validateOnly } = options;
      await openOutput(command, terminal).result(
        await client.tenants[method]({ tenant, etag, requestId, validateOnly }),
      );
    },
  );
}

function addRollback(tenants: Command, terminal: Terminal): void {
  const rollback = tenants
    .command('rollback')
    .description('give all routes and policies the values that they had at a revision')
    .argument('<tenant>')
    .argument('<revision>', 'of the tenant', BigInt)
    .option('--force', 'even when that takes many routes out of use');
  addMutationOptions(rollback).action(
    async (tenant: string, revision: bigint, options: MutationOptions & { force?: boolean }, command: Command) => {
      using client = connect(command, 'control plane', terminal);
      const { requestId, validateOnly, force } = options;
      const request = { tenant, revision, requestId, validateOnly, force };
      await openOutput(command, terminal).result(await client.routes.rollbackTenant(request));
    },
  );
}

function addStream(tenants: Command, terminal: Terminal): void {
  tenants
    .command('stream')
    .description(
      "show how far a tenant's change stream is, who publishes to it, and its last comparison with the database",
    )
    .argument('<tenant>')
    .action(async (tenant: string, _options: unknown, command: Command) => {
      using client = connect(command, 'control plane', terminal);
      await openOutput(command, terminal).result(await client.changeStreams.getChangeStream({ tenant }));
    });
}
