import { Option, type Command } from 'commander';
import {
  message,
  Route,
  RouteState,
  type Endpoint,
  type RouteKey,
  type TrafficManagerClient,
} from '../../client/index.ts';
import { addAtOptions, atOf, type AtOptions } from '../at-options.ts';
import { connect, openOutput } from '../global-options.ts';
import { addPagingOptions, listAll, type PagingOptions } from '../list-all.ts';
import { addEtagOption, addMutationOptions, type EtagOption, type MutationOptions } from '../mutation-options.ts';
import { collectEndpoint, collectPair } from '../option-values.ts';
import { parseRouteKey } from '../resource-path.ts';
import type { Terminal } from '../terminal.ts';

const keyForm = 'TENANT/SERVICE/ENVIRONMENT/VERSION';

interface ListOptions extends PagingOptions, AtOptions {
  readonly service?: string;
  readonly environment?: string;
  readonly state?: 'ACTIVE' | 'INACTIVE' | 'DELETED';
  readonly showDeleted?: boolean;
}

interface CreateOptions extends MutationOptions {
  readonly endpoint: Endpoint[];
  readonly label?: Record<string, string>;
  readonly inactive?: boolean;
}

export function addRoutesCommands(program: Command, terminal: Terminal): void {
  const routes = program.command('routes').description('read and change routes');
  addList(routes, terminal);
  addGet(routes, terminal);
  addCreate(routes, terminal);
  addKeyed(routes, terminal, {
    name: 'activate',
    description: 'make a route answer lookups',
    call: (client, request) => client.routes.activateRoute(request),
  });
  addKeyed(routes, terminal, {
    name: 'deactivate',
    description: 'make a route stop answering lookups, keeping it',
    call: (client, request) => client.routes.deactivateRoute(request),
  });
  addKeyed(routes, terminal, {
    name: 'delete',
    description: 'delete a route; undelete brings it back',
    call: (client, request) => client.routes.deleteRoute(request),
  });
  addKeyed(routes, terminal, {
    name: 'undelete',
    description: 'bring a deleted route back',
    call: (client, request) => client.routes.undeleteRoute(request),
  });
  addRollback(routes, terminal);
}

function addRollback(routes: Command, terminal: Terminal): void {
  const rollback = routes
    .command('rollback')
    .description('give a route the value that it had at a revision')
    .argument('<key>', keyForm, parseRouteKey)
    .argument('<revision>', 'of the tenant', BigInt);
  addMutationOptions(addEtagOption(rollback)).action(
    async (key: RouteKey, revision: bigint, options: EtagOption & MutationOptions, command: Command) => {
      using client = connect(command, 'control plane', terminal);
      const { etag, requestId, validateOnly } = options;
      const request = { key, revision, etag, requestId, validateOnly };
      await openOutput(command, terminal).result(await client.routes.rollbackRoute(request));
    },
  );
}

function addList(routes: Command, terminal: Terminal): void {
  const list = routes
    .command('list')
    .description("list a tenant's routes in the order of their keys")
    .argument('<tenant>')
    .option('--service <name>', 'of this service only')
    .option('--environment <name>', 'of this environment only')
    .addOption(new Option('--state <state>', 'in this state only').choices(['ACTIVE', 'INACTIVE', 'DELETED']))
    .option('--show-deleted', 'deleted ones too');
  addPagingOptions(addAtOptions(list)).action(async (tenant: string, options: ListOptions, command: Command) => {
    using client = connect(command, 'control plane', terminal);
    const { service, environment, showDeleted } = options;
    const state = options.state === undefined ? undefined : RouteState[`ROUTE_STATE_${options.state}`];
    const { entries, nextPageToken } = await listAll(options, async (page) => {
      const request = { tenant, service, environment, state, showDeleted, at: atOf(options), ...page };
      const answer = await client.routes.listRoutes(request);
      return { entries: answer.routes, nextPageToken: answer.nextPageToken };
    });
    await openOutput(command, terminal).result({ routes: entries, nextPageToken });
  });
}

function addGet(routes: Command, terminal: Terminal): void {
  routes
    .command('get')
    .description('read a route, in any state')
    .argument('<key>', keyForm, parseRouteKey)
    .action(async (key: RouteKey, _options: unknown, command: Command) => {
      using client = connect(command, 'control plane', terminal);
      await openOutput(command, terminal).result(await client.routes.getRoute({ key }));
    });
}

function addCreate(routes: Command, terminal: Terminal): void {
  const create = routes
    .command('create')
    .description('create a route; equal to what is there, it changes nothing')
    .argument('<key>', keyForm, parseRouteKey)
    .addOption(
      new Option('--endpoint <endpoint>', 'URL[,weight=N][,zone=Z][,priority=N][,label.KEY=VALUE]; repeatable')
        .makeOptionMandatory()
        .argParser(collectEndpoint),
    )
    .option('--label <key=value>', 'repeatable', collectPair)
    .option('--inactive', 'not answering lookups yet');
  addMutationOptions(create).action(async (key: RouteKey, options: CreateOptions, command: Command) => {
    using client = connect(command, 'control plane', terminal);
    const { endpoint: endpoints, label: labels, inactive, requestId, validateOnly } = options;
    const state = inactive === true ? RouteState.ROUTE_STATE_INACTIVE : RouteState.ROUTE_STATE_ACTIVE;
    const route = message(Route, { key, endpoints, labels, state });
    await openOutput(command, terminal).result(await client.routes.createRoute({ route, requestId, validateOnly }));
  });
}

interface KeyedCommand {
  readonly name: string;
  readonly description: string;
  readonly call: (
    client: TrafficManagerClient,
    request: { key: RouteKey } & EtagOption & MutationOptions,
  ) => Promise<unknown>;
}

/** A command for one of the mutations that take a key and nothing else. */
function addKeyed(routes: Command, terminal: Terminal, { name, description, call }: KeyedCommand): void {
  const keyed = routes.command(name).description(description).argument('<key>', keyForm, parseRouteKey);
  addMutationOptions(addEtagOption(keyed)).action(
    async (key: RouteKey, options: EtagOption & MutationOptions, command: Command) => {
      using client = connect(command, 'control plane', terminal);
      const { etag, requestId, validateOnly } = options;
      const request = { key, etag, requestId, validateOnly };
      await openOutput(command, terminal).result(await call(client, request));
    },
  );
}
