import { DomainError } from '../domain/domain-error.ts';
import type { Mutation } from '../domain/mutation.ts';
import type { RouteKey } from '../domain/route.ts';
import { RevisionPassedError } from '../domain/transaction.ts';
import type { ChangeHistory } from '../ports/change-history.ts';
import type { WriteResult } from './write-request.ts';

/** Attempts while others keep writing to the tenant: each reads what changed and tries to commit on top of it. */
const attemptsMax = 10;

/** Gives one route the value that it had at a revision. */
export async function rollbackRoute(
  history: ChangeHistory,
  { key, revision, etag }: { key: RouteKey; revision: number; etag: string },
): Promise<Mutation> {
  const value = await history.routeAt(key, revision);
  return { kind: 'restore_route', key, value, etag };
}

export type TenantRollback = {
  readonly history: ChangeHistory;
  readonly tenant: string;
  readonly revision: number;
  /** Commits mutations that are void on any other revision than the one given. */
  readonly write: (mutations: readonly Mutation[], onlyAtRevision: number) => Promise<WriteResult>;
};

/** Gives everything that changed after a revision the value that it had then, in one transaction on top of what was read. */
export async function rollbackTenant({ history, tenant, revision, write }: TenantRollback): Promise<WriteResult> {
  for (let attempt = 1; ; attempt++) {
    const { position, routes, policies } = await history.valuesBefore(tenant, revision);
    const mutations: Mutation[] = [
      ...routes.map(({ key, value }): Mutation => ({ kind: 'restore_route', key, value, etag: '' })),
      ...policies.map(({ key, value }): Mutation => ({ kind: 'restore_traffic_policy', key, value })),
    ];
    try {
      return await write(mutations, position.revision);
    } catch (error) {
      if (!(error instanceof RevisionPassedError)) throw error;
      if (attempt >= attemptsMax)
        throw new DomainError('OVERLOADED', 'others keep changing this tenant', { retryDelayMs: 1_000, cause: error });
    }
  }
}
