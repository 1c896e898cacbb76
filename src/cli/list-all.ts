import { InvalidArgumentError, Option, type Command } from 'commander';
import { cliLimits } from './limits.ts';
import { parseInteger } from './option-values.ts';

/** Of every list command. */
export interface PagingOptions {
  readonly limit: number;
  readonly pageToken?: string;
}

/** One answer of a list method. */
export interface Page<Entry> {
  readonly entries: readonly Entry[];
  readonly nextPageToken: string;
}

export function addPagingOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--limit <entries>', 'stop after the page that reaches this many')
        .default(cliLimits.listEntriesDefault)
        .argParser(parseLimit),
    )
    .option('--page-token <token>', 'go on where a list with the same options stopped');
}

/**
 * Follows the pages until the last one, or until the limit is reached: then `nextPageToken` says where to go on. Every page has
 * the same size, since a token is bound to its request.
 */
export async function listAll<Entry>(
  { limit, pageToken = '' }: PagingOptions,
  fetchPage: (page: { pageSize: number; pageToken: string }) => Promise<Page<Entry>>,
): Promise<Page<Entry>> {
  const pageSize = Math.min(limit, cliLimits.listPageSizeMax);
  const entries: Entry[] = [];
  let nextPageToken = pageToken;
  do {
    const page = await fetchPage({ pageSize, pageToken: nextPageToken });
    entries.push(...page.entries);
    nextPageToken = page.nextPageToken;
  } while (nextPageToken !== '' && entries.length < limit);
  return { entries, nextPageToken };
}

function parseLimit(text: string): number {
  const limit = parseInteger(text);
  if (limit < 1) throw new InvalidArgumentError('It must be 1 or more.');
  return limit;
}
