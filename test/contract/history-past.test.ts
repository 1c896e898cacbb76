import fc from 'fast-check';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Route, RouteKey } from '../../src/domain/route.ts';
import { TenantState } from '../../src/domain/tenant-view.ts';
import type { TrafficPolicy } from '../../src/domain/traffic-policy.ts';
import { historyLimits, type HistoryLimits } from '../../src/outbound/postgres/history-limits.ts';
import { PostgresChangeHistory } from '../../src/outbound/postgres/postgres-change-history.ts';
import type { ChangeHistory } from '../../src/ports/change-history.ts';
import type { ConfigurationStore, RouteFilter } from '../../src/ports/configuration-store.ts';
import { createRoute, exampleKey, moveRoute } from '../fakes/example-configuration.ts';
import { openTestDatabase, type OpenedDatabase } from './open-test-database.ts';
import { Chance, commitRandomly, drawnFrom } from './random-history.ts';
import { TenantHistory } from './tenant-history.ts';

describe('the past', () => {
  let database: OpenedDatabase;
  let store: ConfigurationStore;
  let history: ChangeHistory;
  let client: Client;
  let tenants = 0;

  beforeAll(async () => {
    database = await openTestDatabase(inject('postgresUrl'));
    store = database.openStore();
    history = openHistory();
    client = await database.connect();
  });
  afterAll(async () => await database[Symbol.asyncDispose]());

  function openHistory(limits: Partial<HistoryLimits> = {}): ChangeHistory {
    return new PostgresChangeHistory({
      database: database.openDatabase(),
      clock: { monotonicMs: () => 0 },
      limits: { ...historyLimits, ...limits },
    });
  }

  async function newTenant(changes: number, seed = 1): Promise<TenantHistory> {
    tenants += 1;
    const made = await new TenantHistory(store, `tenant-${tenants}`).begin();
    await commitRandomly(made, new Chance(seed), changes);
    return made;
  }

  test('at any revision is what the changes up to it come to', async () => {
    const small = openHistory({ keysPerStatement: 2, statementsPerPage: 2, documentsPerStatement: 3 });
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const chance = new Chance(seed);
        const made = await newTenant(30 + chance.below(40), seed);
        for (let look = 0; look < 12; look++) {
          const revision = 1 + chance.below(made.changes.length);
          const past = replay(made, revision);
          const from = chance.oneOf([history, small]);
          await expectGroups(from, { made, revision, past });
          await expectRoutes(from, { made, revision, past, chance });
          await expectValuesBefore(from, { made, revision, past });
        }
      }),
      { numRuns: 5 },
    );
  });

  test('of a route outlives its deletion, and is nothing from before its creation', async () => {
    const made = await newTenant(1);
    const { tenant } = made;
    const key = exampleKey('v1', { tenant });
    const [created] = await made.commit([createRoute(key)]);
    const [moved] = await made.commit([moveRoute(key, 'grpc://moved')]);
    const [deleted] = await made.commit([{ kind: 'delete_route', key, etag: '' }]);
    expect(await history.routeAt(key, 1)).toBeUndefined();
    expect(await history.routeAt(key, 2)).toEqual(created?.subject.after);
    expect(await history.routeAt(key, 3)).toEqual(moved?.subject.after);
    expect(await history.routeAt(key, 4)).toEqual(deleted?.subject.after);
    expect(await history.routeAt({ ...key, version: 'never' }, 4)).toBeUndefined();
    expect(await history.routeAt({ ...key, service: 'never' }, 4)).toBeUndefined();
  });

  test('cannot be asked for beyond the newest revision, nor of an unknown tenant', async () => {
    const made = await newTenant(10);
    const { tenant, position } = made;
    const newest = position.revision;
    expect(await history.range(tenant)).toEqual({ oldest: 1, newest });
    for (const { ask } of questions(history, tenant)) {
      await ask(newest);
      await expect(ask(newest + 1)).rejects.toMatchObject({
        reason: 'REVISION_IN_FUTURE',
        metadata: { tenant, revision: String(newest + 1), newest_revision: String(newest) },
      });
    }
    for (const { ask } of questions(history, 'nobody')) {
      await expect(ask(1)).rejects.toMatchObject({ reason: 'TENANT_NOT_FOUND' });
    }
    await expect(history.revisionAt('nobody', 0)).rejects.toMatchObject({ reason: 'TENANT_NOT_FOUND' });
  });

  test('has at each moment the last revision that was committed by then', async () => {
    const made = await newTenant(40);
    const { tenant, changes } = made;
    const moments = changes.flatMap(({ commitTimeMs }) => [commitTimeMs - 1, commitTimeMs]);
    for (const moment of moments) {
      const expected = changes.findLast((change) => change.commitTimeMs <= moment)?.revision;
      expect(await history.revisionAt(tenant, moment)).toBe(expected);
    }
    expect(await history.revisionAt(tenant, 0)).toBeUndefined();
    const nextYear = Date.UTC(new Date().getUTCFullYear() + 1, 11, 31);
    await expect(history.revisionAt(tenant, nextYear)).rejects.toMatchObject({ reason: 'REVISION_IN_FUTURE' });
  });

  test('at the moment of a commit has all of that moment: what commits afterwards is later', async () => {
    const made = await newTenant(1);
    const { tenant } = made;
    const key = exampleKey('v1', { tenant });
    await made.commit([createRoute(key)]);
    for (let write = 0; write < 30; write++) {
      const [change] = await made.commit([moveRoute(key, `grpc://host-${write}`)]);
      if (change === undefined) throw new Error('it moved');
      const [revision, [later]] = await Promise.all([
        history.revisionAt(tenant, change.commitTimeMs),
        made.commit([moveRoute(key, `grpc://next-${write}`)]),
      ]);
      const now = await history.revisionAt(tenant, change.commitTimeMs);
      expect(revision).toBe(now);
      expect(now).toBe(later?.commitTimeMs === change.commitTimeMs ? later.revision : change.revision);
    }
  });

  test('at a moment that has just passed waits for what is being committed', async () => {
    const made = await newTenant(5);
    const { tenant, position: expected } = made;
    const writer = await database.connect();
    await writer.query('BEGIN');
    await writer.query('UPDATE tenants SET head_commit_time = clock_timestamp() WHERE tenant = $1', [tenant]);
    const { rows } = await writer.query<{ now: number }>(
      'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now',
    );
    let answered = false;
    const asked = history.revisionAt(tenant, rows[0]?.now ?? 0).then((revision) => {
      answered = true;
      return revision;
    });
    const isWaiting = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR SHARE' AND datname = current_database()`;
    while ((await client.query(isWaiting)).rowCount === 0) expect(answered).toBe(false);
    await writer.query('ROLLBACK');
    expect(await asked).toBe(expected.revision);
  });
});

type Look = { readonly made: TenantHistory; readonly revision: number; readonly past: TenantState };

function replay({ changes }: TenantHistory, revision: number): TenantState {
  const state = new TenantState();
  for (const change of changes.slice(0, revision)) state.apply(change);
  return state;
}

/** Everything that can be asked about a revision. */
function questions(history: ChangeHistory, tenant: string) {
  const key = exampleKey('v1', { tenant });
  const all: RouteFilter = { tenant, service: '', environment: '', states: ['ACTIVE'] };
  return [
    { ask: async (revision: number): Promise<unknown> => await history.groupAt(key, revision) },
    { ask: async (revision: number): Promise<unknown> => await history.routeAt(key, revision) },
    {
      ask: async (revision: number): Promise<unknown> =>
        await history.routesAt(all, revision, { after: undefined, limit: 10 }),
    },
    { ask: async (revision: number): Promise<unknown> => await history.valuesBefore(tenant, revision) },
  ];
}

async function expectGroups(history: ChangeHistory, { made, revision, past }: Look): Promise<void> {
  const { tenant } = made;
  for (const service of drawnFrom.services) {
    for (const environment of drawnFrom.environments) {
      const group = past.find(service, environment);
      const found = await history.groupAt({ tenant, service, environment }, revision);
      expect(found.tenant).toEqual(past.tenant);
      expect(found.policy).toEqual(group?.policy);
      expect(new Map(found.routes.map((route) => [route.key.version, route]))).toEqual(new Map(group?.routes));
    }
  }
}

async function expectRoutes(history: ChangeHistory, look: Look & { chance: Chance }): Promise<void> {
  const { made, revision, past, chance } = look;
  const filter: RouteFilter = {
    tenant: made.tenant,
    service: chance.percent(30) ? chance.oneOf(drawnFrom.services) : '',
    environment: chance.percent(30) ? chance.oneOf(drawnFrom.environments) : '',
    states: (['ACTIVE', 'INACTIVE', 'DELETED'] as const).filter(() => chance.percent(70)),
  };
  const wanted = allRoutes(past).filter(
    ({ key, lifecycle }) =>
      (filter.service === '' || key.service === filter.service) &&
      (filter.environment === '' || key.environment === filter.environment) &&
      filter.states.includes(lifecycle.state),
  );
  const limit = chance.oneOf([1, 2, 5, 100]);
  const found: Route[] = [];
  let after: Omit<RouteKey, 'tenant'> | undefined;
  for (let page = 0; page < 100; page++) {
    const { routes, next } = await history.routesAt(filter, revision, { after, limit });
    expect(routes.length).toBeLessThanOrEqual(limit);
    found.push(...routes);
    if (next === undefined) break;
    after = next;
  }
  expect(found).toEqual(wanted);
  const [route] = wanted;
  if (route !== undefined) expect(await history.routeAt(route.key, revision)).toEqual(route);
}

async function expectValuesBefore(history: ChangeHistory, { made, revision, past }: Look): Promise<void> {
  const { position, routes, policies } = await history.valuesBefore(made.tenant, revision);
  expect(position).toEqual(made.position);
  const touched = made.changes.slice(revision).map((change) => change.subject);
  const routesPast = new Map<string, Route | undefined>();
  const policiesPast = new Map<string, TrafficPolicy | undefined>();
  for (const subject of touched) {
    if (subject.kind === 'route') {
      const { key } = subject.after;
      routesPast.set(JSON.stringify(key), past.find(key.service, key.environment)?.routes.get(key.version));
    } else if (subject.kind === 'traffic_policy') {
      const { key } = subject;
      policiesPast.set(JSON.stringify(key), past.find(key.service, key.environment)?.policy);
    }
  }
  expect(new Map(routes.map(({ key, value }) => [JSON.stringify(key), value]))).toEqual(routesPast);
  expect(new Map(policies.map(({ key, value }) => [JSON.stringify(key), value]))).toEqual(policiesPast);
}

/** In the bytewise order of their keys. */
function allRoutes(state: TenantState): Route[] {
  const path = ({ key }: Route): string => [key.service, key.environment, key.version].join('\u0000');
  return [...state.all()]
    .flatMap((group) => [...group.routes.values()])
    .toSorted((left, right) => Buffer.compare(Buffer.from(path(left)), Buffer.from(path(right))));
}
