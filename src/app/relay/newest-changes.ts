import { resourceOf, type Change } from '../../domain/change.ts';
import type { ConfigurationStore } from '../../ports/configuration-store.ts';
import { readTransactions } from '../read-transactions.ts';
import type { TenantReplica } from '../tenant-replica.ts';
import { relayLimits } from './limits.ts';

/** The newest change of each resource in a range that ends with `until`, oldest first. */
export type OlderChanges = { readonly newest: ReadonlyMap<string, Change>; readonly until: number };

/** Reads the log from a revision on, until memory reaches back to where it ends. Undefined: the log itself begins later. */
export async function olderChanges(
  store: ConfigurationStore,
  tenant: TenantReplica,
  after: number,
): Promise<OlderChanges | undefined> {
  const newest = new Map<string, Change>();
  let until = after;
  while (!tenant.window.reaches(until)) {
    const page = await readTransactions(store, tenant.tenant, { from: until + 1, limit: relayLimits.logPageChanges });
    if (page[0]?.revision !== until + 1) return undefined;
    for (const change of page) put(newest, change);
    until = page.at(-1)?.revision ?? until;
  }
  return { newest, until };
}

/** The newest change of each route and policy in a range, up to where memory is now, oldest first. */
export function newestChanges(tenant: TenantReplica, { newest, until }: OlderChanges): Change[] {
  const all = new Map(newest);
  for (const change of tenant.window.newestIn(until, tenant.position.revision)) put(all, change);
  return [...all.values()].filter(({ subject }) => subject.kind !== 'tenant');
}

/** At the end, also where it stands already: so they stay in order. */
function put(newest: Map<string, Change>, change: Change): void {
  const resource = resourceOf(change.subject);
  newest.delete(resource);
  newest.set(resource, change);
}
