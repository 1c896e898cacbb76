import { DomainError } from '../domain/domain-error.ts';
import type { Mutation } from '../domain/mutation.ts';
import type { RouteKey } from '../domain/route.ts';
import type { ChangeHistory } from '../ports/change-history.ts';
import { WorkedOutTooLongAgoError, type WriteResult } from './write-request.ts';

/** Attempts to read what changed faster than memory's window of changes passes by. */
const attemptsMax = 3;

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
  /** Commits mutations that were worked out on a revision, together with those that take back what changed since. */
  readonly write: (mutations: readonly Mutation[], restoresFrom: number) => Promise<WriteResult>;
};

/** Gives everything that changed after a revision the value that it had then, in one transaction. */
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
      if (!(error instanceof WorkedOutTooLongAgoError)) throw error;
      if (attempt >= attemptsMax)
        throw new DomainError('OVERLOADED', 'others keep changing this tenant', { retryDelayMs: 1_000, cause: error });
    }
  }
}
