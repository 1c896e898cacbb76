import { resourceOf, type Change } from '../../domain/change.ts';
import type { ConfigurationStore } from '../../ports/configuration-store.ts';
import { readTransactions } from '../read-transactions.ts';
import type { TenantReplica } from '../tenant-replica.ts';
import { relayLimits } from './limits.ts';

/** What a range of changes comes to. */
export type ChangeRange = {
  /** The newest change of each resource, oldest first. */
  readonly newest: ReadonlyMap<string, Change>;
  /** Where the range ends. */
  readonly until: number;
  /** Routes that began to exist in it: each is a subject that the stream has never had. */
  readonly created: number;
};

/** The range that ends where it begins. */
export function emptyRange(at: number): ChangeRange {
  return { newest: new Map(), until: at, created: 0 };
}

/** Reads the log from a revision on, until memory reaches back to where it ends. Undefined: the log itself begins later. */
export async function loggedRange(
  store: ConfigurationStore,
  tenant: TenantReplica,
  after: number,
): Promise<ChangeRange | undefined> {
  const newest = new Map<string, Change>();
  let until = after;
  let created = 0;
  while (!tenant.window.reaches(until)) {
    const page = await readTransactions(store, tenant.tenant, { from: until + 1, limit: relayLimits.logPageChanges });
    if (page[0]?.revision !== until + 1) return undefined;
    for (const change of page) {
      put(newest, change);
      if (isCreation(change)) created++;
    }
    until = page.at(-1)?.revision ?? until;
  }
  return { newest, until, created };
}

/** The range, and what memory has after it. At once: nothing is waited for, so it ends where memory is when this is called. */
export function extendedRange(tenant: TenantReplica, range: ChangeRange): ChangeRange {
  const newest = new Map(range.newest);
  const { window, position } = tenant;
  let { created } = range;
  for (const change of window.newestIn(range.until, position.revision)) put(newest, change);
  for (const unit of window.unitsAfter(range.until))
    for (const { change } of unit.entries) if (isCreation(change)) created++;
  return { newest, until: position.revision, created };
}

/** What of a range belongs into the stream: a tenant's own changes are told by its meta. */
export function streamedChanges({ newest }: ChangeRange): Change[] {
  return [...newest.values()].filter(({ subject }) => subject.kind !== 'tenant');
}

function isCreation({ subject }: Change): boolean {
  return subject.kind === 'route' && subject.before === undefined;
}

/** At the end, also where it stands already: so they stay in order. */
function put(newest: Map<string, Change>, change: Change): void {
  const resource = resourceOf(change.subject);
  newest.delete(resource);
  newest.set(resource, change);
}
