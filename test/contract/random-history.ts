import type { Change } from '../../src/domain/change.ts';
import { DomainError } from '../../src/domain/domain-error.ts';
import type { Mutation } from '../../src/domain/mutation.ts';
import type { RouteKey } from '../../src/domain/route.ts';
import { TenantState } from '../../src/domain/tenant-view.ts';
import { stage } from '../../src/domain/transaction.ts';
import { createRoute, moveRoute, setDefaultVersion, transactionOf } from '../fakes/example-configuration.ts';
import type { TenantHistory } from './tenant-history.ts';

/** What a random history is drawn from: few names, so that everything happens to everything. */
export const drawnFrom = {
  services: ['cart', 'shop'],
  environments: ['production', 'staging'],
  versions: ['v1', 'V2', '1.10.0'],
  actors: ['alice', 'bob', 'ci@example.com'],
  correlationIds: ['first', 'second', 'third'],
} as const;

/** Chance that a seed repeats: mulberry32. */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** From 0 on, below `end`. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * end);
  }

  oneOf<Item>(items: readonly [Item, ...Item[]]): Item;
  oneOf<Item>(items: readonly Item[]): Item;
  oneOf<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }

  /** True this often, of a hundred. */
  percent(share: number): boolean {
    return this.below(100) < share;
  }
}

/** Commits random transactions, alone or several in one commit, until the history has at least so many changes. */
export async function commitRandomly(history: TenantHistory, chance: Chance, changesMin: number): Promise<void> {
  for (let commit = 0; history.changes.length < changesMin; commit++) {
    const scratch = new TenantState();
    for (const change of history.changes) scratch.apply(change);
    const changes: Change[] = [];
    for (let transaction = chance.below(3); transaction >= 0; transaction--) {
      const mutations = chance.percent(10)
        ? [renameTenant(history.tenant, chance)]
        : Array.from({ length: 1 + chance.below(4) }, () => randomMutation(history.tenant, chance));
      const staged = tryToStage(scratch, {
        tenant: history.tenant,
        commitId: `${history.tenant}-random-${commit}-${transaction}`,
        mutations,
        chance,
      });
      for (const change of staged) scratch.apply(change);
      changes.push(...staged);
    }
    if (changes.length > 0) await history.commitChanges(changes);
  }
}

function tryToStage(
  scratch: TenantState,
  drawn: { tenant: string; commitId: string; mutations: readonly Mutation[]; chance: Chance },
): readonly Change[] {
  const { tenant, commitId, mutations, chance } = drawn;
  const actor = chance.oneOf(drawnFrom.actors);
  const correlationId = chance.oneOf(drawnFrom.correlationIds);
  try {
    const transaction = transactionOf(tenant, commitId, mutations, { actor, correlationId });
    return stage(scratch, scratch.tenant?.revision ?? 0, transaction).changes;
  } catch (error) {
    // Refused, as half of what is drawn blindly is: routes that exist already, or do not, and policies in the way.
    if (error instanceof DomainError) return [];
    throw error;
  }
}

function randomMutation(tenant: string, chance: Chance): Mutation {
  const key: RouteKey = {
    tenant,
    service: chance.oneOf(drawnFrom.services),
    environment: chance.oneOf(drawnFrom.environments),
    version: chance.oneOf(drawnFrom.versions),
  };
  const state = chance.oneOf(['ACTIVE', 'INACTIVE'] as const);
  return chance.oneOf<() => Mutation>([
    () => createRoute(key, { lifecycle: { state } }),
    () => createRoute(key, { labels: { draw: String(chance.below(3)) } }),
    () => moveRoute(key, `grpc://host-${chance.below(4)}`),
    () => ({ kind: 'set_route_state', key, state, etag: '' }),
    () => ({ kind: 'set_route_state', key, state, etag: '' }),
    () => ({ kind: 'delete_route', key, etag: '' }),
    () => ({ kind: 'undelete_route', key, etag: '' }),
    () => setDefaultVersion(key, key.version),
    () => ({
      kind: 'delete_traffic_policy',
      key: { tenant, service: key.service, environment: key.environment },
      etag: '',
    }),
  ])();
}

function renameTenant(tenant: string, chance: Chance): Mutation {
  const displayName = `Name ${chance.below(3)}`;
  return { kind: 'update_tenant', tenant, value: { displayName, quotas: undefined }, etag: '' };
}
