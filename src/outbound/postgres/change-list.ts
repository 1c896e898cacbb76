import type { Change } from '../../domain/change.ts';
import type { Clock } from '../../platform/clock.ts';
import type { ChangeFilter, ChangePage, ChangePaging } from '../../ports/change-history.ts';
import { revisionCompacted } from '../../domain/revision-range.ts';
import { tenantNotFound } from '../../domain/transaction.ts';
import type { HistoryLimits } from './history-limits.ts';
import { findBounds, lastRevisionBefore, type LogBounds, type Query } from './revision-bounds.ts';
import { changeColumns, changeFromRow, type ChangeRow } from './rows.ts';

/** Revisions from `low` to `high`, both inclusive. */
type Window = { readonly low: number; readonly high: number };

type ListOptions = {
  readonly paging: ChangePaging;
  readonly limits: HistoryLimits;
  readonly clock: Pick<Clock, 'monotonicMs'>;
};

/** One page of changes, all of it as of one moment. */
export async function listChanges(
  query: Query,
  filter: ChangeFilter,
  { paging, limits, clock }: ListOptions,
): Promise<ChangePage> {
  const startedAtMs = clock.monotonicMs();
  const bounds = await findBounds(query, filter.tenant);
  if (bounds === undefined) throw tenantNotFound(filter.tenant);
  let rest = await windowOf(query, filter, { bounds, paging });
  const changes: Change[] = [];
  const { first, max } = limits.windowRevisions;
  for (let part = first; rest !== undefined; part = Math.min(part * 4, max)) {
    const window = needsWindows(filter) ? firstPart(rest, paging.order, part) : rest;
    const wanted = paging.limit - changes.length;
    // One more than wanted tells whether there is more.
    const { text, values } = windowStatement(filter, {
      order: paging.order,
      window,
      limit: wanted + 1,
      bytesMax: limits.pageBytesMax,
    });
    const rows = await query<ListedRow>(text, values);
    changes.push(...rows.slice(0, wanted).map(changeFromRow));
    const matches = rows[0]?.matches ?? 0;
    if (matches > rows.length || rows.length > wanted)
      return { changes, next: changes.at(-1)?.revision, newest: bounds.newest };
    rest = without(paging, rest, window);
    if (rest !== undefined && clock.monotonicMs() - startedAtMs > limits.pageBudgetMs)
      return { changes, next: paging.order === 'newest_first' ? window.low : window.high, newest: bounds.newest };
  }
  return { changes, next: undefined, newest: bounds.newest };
}

/** The revisions that the filter leaves, as far as they are numbers and times; undefined: none. */
async function windowOf(
  query: Query,
  filter: ChangeFilter,
  { bounds, paging }: { bounds: LogBounds; paging: ChangePaging },
): Promise<Window | undefined> {
  const { tenant, revisionMin, revisionMax, startTimeMs, endTimeMs } = filter;
  const { order, after } = paging;
  if (revisionMin > 0 && revisionMin < bounds.oldest) throw revisionCompacted(tenant, revisionMin, bounds.oldest);
  // A list from the oldest on must not step over what was removed between two of its pages.
  if (order === 'oldest_first' && after !== undefined && after + 1 < bounds.oldest)
    throw revisionCompacted(tenant, after + 1, bounds.oldest);
  let low = Math.max(bounds.oldest, revisionMin);
  let high = revisionMax === 0 ? bounds.newest : Math.min(bounds.newest, revisionMax);
  if (after !== undefined && order === 'oldest_first') low = Math.max(low, after + 1);
  if (after !== undefined && order === 'newest_first') high = Math.min(high, after - 1);
  const before = async (timeMs: number): Promise<number> =>
    await lastRevisionBefore(query, tenant, { range: bounds, timeMs });
  if (startTimeMs !== undefined) low = Math.max(low, (await before(startTimeMs)) + 1);
  if (endTimeMs !== undefined) high = Math.min(high, await before(endTimeMs));
  return low > high ? undefined : { low, high };
}

/** Whether no index gives the filter's changes in order: then a statement could look at all of the log, and find nothing. */
function needsWindows(filter: ChangeFilter): boolean {
  const conditions = conditionsOf(filter).length + (filter.actions.length > 0 ? 1 : 0);
  return conditions > 1 && !(conditions === 3 && namesRoute(filter));
}

function namesRoute({ service, environment, version }: ChangeFilter): boolean {
  return service !== '' && environment !== '' && version !== '';
}

function firstPart(rest: Window, order: ChangePaging['order'], revisions: number): Window {
  return order === 'newest_first'
    ? { low: Math.max(rest.low, rest.high - revisions + 1), high: rest.high }
    : { low: rest.low, high: Math.min(rest.high, rest.low + revisions - 1) };
}

function without({ order }: ChangePaging, rest: Window, window: Window): Window | undefined {
  const left = order === 'newest_first' ? { ...rest, high: window.low - 1 } : { ...rest, low: window.high + 1 };
  return left.low > left.high ? undefined : left;
}

/** `matches`: how many the statement found, of which those beyond the page's bytes are left out. */
type ListedRow = ChangeRow & { matches: number };

type Conditions = readonly { readonly column: string; readonly value: string }[];

/** The filters that compare one column with one value, but for the action, of which there may be several. */
function conditionsOf(filter: ChangeFilter): Conditions {
  const { service, environment, version, actor, correlationId } = filter;
  const all = { service, environment, version, actor, correlation_id: correlationId };
  return Object.entries(all).flatMap(([column, value]) => (value === '' ? [] : [{ column, value }]));
}

/**
 * The text holds the conditions that are set and no others (`$5 = '' OR service = $5` would keep every index out), and it is not
 * prepared under a name, so that combined filters are planned for their values. With any filter the order is one that only the
 * filters' indexes have, never the primary key (see the migration). Several actions are one ordered read each, merged:
 * `action = ANY(…)` would first be read and sorted as a whole.
 */
function windowStatement(
  filter: ChangeFilter,
  { order, window, limit, bytesMax }: { order: ChangePaging['order']; window: Window; limit: number; bytesMax: number },
): { text: string; values: unknown[] } {
  const values: unknown[] = [filter.tenant, window.low, window.high, limit, bytesMax];
  const conditions = conditionsOf(filter).map(({ column, value }) => `c.${column} = $${values.push(value)}`);
  const [action, ...more] = filter.actions;
  if (action !== undefined && more.length === 0) conditions.push(`c.action = $${values.push(action)}`);
  const severalActions = more.length > 0 ? `$${values.push(filter.actions)}::text[]` : undefined;
  const direction = order === 'newest_first' ? 'DESC' : 'ASC';
  const isFiltered = conditions.length > 0 || severalActions !== undefined;
  const indexOrder = isFiltered ? `${direction} NULLS ${order === 'newest_first' ? 'LAST' : 'FIRST'}` : direction;
  const matching = (more: readonly string[]): string =>
    `SELECT c.* FROM changes c WHERE ${['c.tenant = $1', 'c.revision BETWEEN $2 AND $3', ...conditions, ...more].join(' AND ')}
      ORDER BY c.revision ${indexOrder} LIMIT $4`;
  const matches =
    severalActions === undefined
      ? matching([])
      : `SELECT c.* FROM unnest(${severalActions}) AS wanted(action), LATERAL (${matching(['c.action = wanted.action'])}) c
          ORDER BY c.revision ${direction} LIMIT $4`;
  const size = 'coalesce(pg_column_size(c.before), 0) + coalesce(pg_column_size(c.after), 0)';
  const text = `SELECT ${changeColumns}, c.matches FROM (
      SELECT c.*, count(*) OVER () AS matches, sum(${size}) OVER (ORDER BY c.revision ${direction}) - (${size}) AS bytes_before FROM (${matches}) c) c
    WHERE c.bytes_before < $5 ORDER BY c.revision ${direction}`;
  return { text, values };
}
