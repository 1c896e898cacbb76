import type { Command } from 'commander';
import { message, TrafficPolicy, type TrafficPolicyKey, type WeightedVersion } from '../../client/index.ts';
import { connect, openOutput } from '../global-options.ts';
import { addEtagOption, addMutationOptions, type EtagOption, type MutationOptions } from '../mutation-options.ts';
import { collectWeightedVersion } from '../option-values.ts';
import { parsePolicyKey } from '../resource-path.ts';
import type { Terminal } from '../terminal.ts';

interface SetOptions extends MutationOptions, EtagOption {
  readonly defaultVersion?: string;
  readonly split?: WeightedVersion[];
}

export function addPoliciesCommands(program: Command, terminal: Terminal): void {
  const policies = program.command('policies').description('read and change traffic policies');
  policies
    .command('get')
    .description('read the policy of a service in an environment')
    .argument('<key>', 'TENANT/SERVICE/ENVIRONMENT', parsePolicyKey)
    .action(async (key: TrafficPolicyKey, _options: unknown, command: Command) => {
      using client = connect(command, 'control plane', terminal);
      await openOutput(command, terminal).result(await client.policies.getTrafficPolicy({ key }));
    });

  const set = policies
    .command('set')
    .description('create or replace the whole policy of a service in an environment')
    .argument('<key>', 'TENANT/SERVICE/ENVIRONMENT', parsePolicyKey)
    .option('--default-version <version>', 'serves calls that nothing else decides')
    .option('--split <version=weight>', 'a share of the calls; repeatable', collectWeightedVersion);
  addMutationOptions(addEtagOption(set)).action(
    async (key: TrafficPolicyKey, options: SetOptions, command: Command) => {
      using client = connect(command, 'control plane', terminal);
      const { defaultVersion, split, etag, requestId, validateOnly } = options;
      const trafficPolicy = message(TrafficPolicy, { key, defaultVersion, split, etag });
      const answer = await client.policies.setTrafficPolicy({ trafficPolicy, requestId, validateOnly });
      await openOutput(command, terminal).result(answer);
    },
  );
}
