import { Option, type Command } from 'commander';
import type { Consistency, RouteKey } from '../../client/index.ts';
import { durationFromMs } from '../duration.ts';
import { addAtOptions, atOf, type AtOptions } from '../at-options.ts';
import { connect, openOutput, parseDurationOption } from '../global-options.ts';
import { collectPair, parseRevision } from '../option-values.ts';
import { parseLookupKey } from '../resource-path.ts';
import type { Terminal } from '../terminal.ts';

interface ResolveOptions extends AtOptions {
  readonly hashKey?: string;
  readonly attribute?: Record<string, string>;
  readonly method?: string;
  readonly maxStaleness?: number;
  readonly minRevision?: bigint;
  readonly strong?: boolean;
}

export function addResolveCommand(program: Command, terminal: Terminal): void {
  const resolve = program
    .command('resolve')
    .description('ask the sidecar where a call goes')
    .argument('<key>', 'TENANT/SERVICE/ENVIRONMENT[/VERSION]', parseLookupKey)
    .option('--hash-key <key>', 'equal keys get equal versions of a split')
    .option('--attribute <key=value>', 'of the call, for match rules; repeatable', collectPair)
    .option('--method <name>', 'of the call, such as shop.Cart/Add, for match rules')
    .addOption(
      new Option('--max-staleness <duration>', 'no older than this, such as 5s')
        .argParser(parseDurationOption)
        .conflicts(['minRevision', 'strong']),
    )
    .addOption(
      new Option('--min-revision <revision>', 'wait until this revision has arrived')
        .argParser(parseRevision)
        .conflicts('strong'),
    )
    .option('--strong', 'as the database has it now');
  addAtOptions(resolve).action(async (key: RouteKey, options: ResolveOptions, command: Command) => {
    using client = connect(command, 'sidecar', terminal);
    const { hashKey, attribute: attributes, method } = options;
    const requirement = requirementOf(options);
    const consistency = requirement === undefined ? undefined : { requirement };
    const answer = await client.resolver.resolve({ key, hashKey, attributes, method, consistency, at: atOf(options) });
    await openOutput(command, terminal).result(answer);
  });
}

function requirementOf({ maxStaleness, minRevision, strong }: ResolveOptions): Consistency['requirement'] {
  if (maxStaleness !== undefined) return { $case: 'maxStaleness', value: durationFromMs(maxStaleness) };
  if (minRevision !== undefined) return { $case: 'minRevision', value: minRevision };
  return strong === true ? { $case: 'strong', value: true } : undefined;
}
