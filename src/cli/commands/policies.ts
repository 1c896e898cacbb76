import { readFile } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import { message, TrafficPolicy, type TrafficPolicyKey, type WeightedVersion } from '../../client/index.ts';
import { connect, openOutput } from '../global-options.ts';
import { addPagingOptions, listAll, type PagingOptions } from '../list-all.ts';
import { parseDocument } from '../manifest.ts';
import { addEtagOption, addMutationOptions, type EtagOption, type MutationOptions } from '../mutation-options.ts';
import { collectWeightedVersion } from '../option-values.ts';
import { parsePolicyKey } from '../resource-path.ts';
import type { Terminal } from '../terminal.ts';
import { policyFromDocument } from '../traffic-policy-document.ts';
import { policyFileSchema } from '../traffic-policy-schema.ts';

const keyForm = 'TENANT/SERVICE/ENVIRONMENT';

interface ListOptions extends PagingOptions {
  readonly service?: string;
}

interface SetOptions extends MutationOptions, EtagOption {
  readonly file?: string;
  readonly defaultVersion?: string;
  readonly split?: WeightedVersion[];
}

export function addPoliciesCommands(program: Command, terminal: Terminal): void {
  const policies = program.command('policies').description('read and change traffic policies');
  addList(policies, terminal);
  policies
    .command('get')
    .description('read the policy of a service in an environment')
    .argument('<key>', keyForm, parsePolicyKey)
    .action(async (key: TrafficPolicyKey, _options: unknown, command: Command) => {
      using client = connect(command, 'control plane', terminal);
      await openOutput(command, terminal).result(await client.policies.getTrafficPolicy({ key }));
    });
  addSet(policies, terminal);
  addDelete(policies, terminal);
}

function addList(policies: Command, terminal: Terminal): void {
  const list = policies
    .command('list')
    .description("list a tenant's policies in the order of their keys")
    .argument('<tenant>')
    .option('--service <name>', 'of this service only');
  addPagingOptions(list).action(async (tenant: string, options: ListOptions, command: Command) => {
    using client = connect(command, 'control plane', terminal);
    const { service } = options;
    const { entries, nextPageToken } = await listAll(options, async (page) => {
      const answer = await client.policies.listTrafficPolicies({ tenant, service, ...page });
      return { entries: answer.trafficPolicies, nextPageToken: answer.nextPageToken };
    });
    await openOutput(command, terminal).result({ trafficPolicies: entries, nextPageToken });
  });
}

function addSet(policies: Command, terminal: Terminal): void {
  const set = policies
    .command('set')
    .description('create or replace the whole policy of a service in an environment')
    .argument('<key>', keyForm, parsePolicyKey)
    .addOption(
      new Option(
        '-f, --file <file>',
        'the policy under the key traffic_policy, in YAML or JSON, as get prints it; what only the server sets is passed over',
      ).conflicts(['defaultVersion', 'split']),
    )
    .option('--default-version <version>', 'serves calls that nothing else decides')
    .option('--split <version=weight>', 'a share of the calls; repeatable', collectWeightedVersion);
  addMutationOptions(addEtagOption(set)).action(
    async (key: TrafficPolicyKey, options: SetOptions, command: Command) => {
      const { defaultVersion, split, file, etag, requestId, validateOnly } = options;
      const policy =
        file === undefined ? message(TrafficPolicy, { key, defaultVersion, split }) : await readPolicy(key, file);
      const trafficPolicy = { ...policy, etag: etag ?? '' };
      using client = connect(command, 'control plane', terminal);
      const answer = await client.policies.setTrafficPolicy({ trafficPolicy, requestId, validateOnly });
      await openOutput(command, terminal).result(answer);
    },
  );
}

async function readPolicy(key: TrafficPolicyKey, file: string): Promise<TrafficPolicy> {
  const source = { file, text: await readFile(file, 'utf8') };
  const kind = { noun: 'policy', keys: 'traffic_policy', schema: policyFileSchema, repeatedNames: () => [] };
  return policyFromDocument(key, parseDocument(source, kind).traffic_policy);
}

function addDelete(policies: Command, terminal: Terminal): void {
  const remove = policies
    .command('delete')
    .description('delete a policy; the change log keeps it')
    .argument('<key>', keyForm, parsePolicyKey);
  addMutationOptions(addEtagOption(remove)).action(
    async (key: TrafficPolicyKey, options: EtagOption & MutationOptions, command: Command) => {
      using client = connect(command, 'control plane', terminal);
      const { etag, requestId, validateOnly } = options;
      const answer = await client.policies.deleteTrafficPolicy({ key, etag, requestId, validateOnly });
      await openOutput(command, terminal).result(answer);
    },
  );
}
