import type { Change } from '../domain/change.ts';
import type { ConfigurationStore } from '../ports/configuration-store.ts';

/**
 * Changes of the log from a revision on: as many as `limit`, and then the rest of the last one's transaction, however large, because
 * nobody may see a part of it.
 */
export async function readTransactions(
  store: ConfigurationStore,
  tenant: string,
  { from, limit }: { readonly from: number; readonly limit: number },
): Promise<readonly Change[]> {
  const page = await store.changesFrom(tenant, from, limit);
  const last = page.at(-1);
  if (last === undefined || last.commitRevision === last.revision) return page;
  const rest = await store.changesFrom(tenant, last.revision + 1, last.commitRevision - last.revision);
  return [...page, ...rest];
}
