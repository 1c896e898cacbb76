import { describe, expect, test } from 'vitest';
import { message, TrafficPolicy, type TrafficManagerClient, type WatchResponse } from '../../src/client/index.ts';
import { keyOf, policyOf, routeOf, snapshotOf, useControlPlanes } from './control-plane-bench.ts';

type Watch = AsyncGenerator<WatchResponse, void, void>;

async function next(watch: Watch): Promise<WatchResponse> {
  const { value } = await watch.next();
  if (value === undefined) throw new Error('the watch ended');
  return value;
}

function changesIn({ event }: WatchResponse) {
  return event?.$case === 'changeBatch' ? event.value.changes : [];
}

/** What a watcher knows of a tenant: it takes snapshots and changes, and checks that they follow each other. */
class Watcher {
  readonly routes = new Map<string, string>();
  readonly revisions: bigint[] = [];
  revision = 0n;
  commitId = '';
  #snapshotRevision = 0n;

  take(response: WatchResponse): void {
    const { event, revision, commitId } = response;
    if (event?.$case === 'snapshotChunk') {
      for (const route of event.value.routes) this.routes.set(route.key?.version ?? '', route.etag);
      this.#snapshotRevision = revision;
    }
    for (const change of changesIn(response)) {
      // Each change once, and none left out.
      expect(change.revision).toBe((this.revisions.at(-1) ?? this.#snapshotRevision) + 1n);
      this.revisions.push(change.revision);
      if (change.resource?.$case !== 'route') continue;
      const { before, after } = change.resource.value;
      const version = after?.key?.version ?? '';
      expect(this.routes.get(version)).toBe(before?.state === 3 ? undefined : before?.etag);
      if (after?.state === 3) this.routes.delete(version);
      else this.routes.set(version, after?.etag ?? '');
    }
    expect(revision >= this.revision).toBe(true);
    this.revision = revision;
    this.commitId = commitId;
  }

  async follow(watch: Watch, until: bigint): Promise<void> {
    while (this.revision < until) this.take(await next(watch));
  }
}

async function liveRoutes(client: TrafficManagerClient, tenant: string): Promise<Map<string, string>> {
  const { routes } = await client.routes.listRoutes({ tenant, pageSize: 1_000 });
  return new Map(routes.map(({ key, etag }) => [key?.version ?? '', etag]));
}

describe('a watch', () => {
  const bench = useControlPlanes(2);

  async function withRoutes(): Promise<string> {
    const tenant = await bench.newTenant();
    const { routes, policies } = bench.client;
    await routes.createRoute({ route: routeOf(keyOf(tenant)) });
    await routes.createRoute({ route: routeOf(keyOf(tenant, 'v1', { service: 'shop' })) });
    await routes.createRoute({ route: routeOf(keyOf(tenant, 'gone')) });
    await routes.deleteRoute({ key: keyOf(tenant, 'gone') });
    await policies.setTrafficPolicy({ trafficPolicy: policyOf(tenant, 'v1') });
    return tenant;
  }

  test('begins with a snapshot, and goes on with each change as it commits, through any replica', async () => {
    const tenant = await withRoutes();
    for (const { client } of bench.replicas) {
      const revision = (await bench.client.tenants.getTenant({ tenant })).tenant?.revision ?? 0n;
      // A replica's memory may be behind for a moment: this one holds what is committed by now.
      const minRevision = { requirement: { $case: 'minRevision', value: revision } } as const;
      await client.resolver.resolve({ key: keyOf(tenant, 'v1', { service: 'shop' }), consistency: minRevision });
      const watch = client.watch({ tenant });
      const { routes, trafficPolicies } = await snapshotOf(watch, revision);
      expect(new Set(routes.map(({ key }) => key?.service))).toEqual(new Set(['cart', 'shop']));
      expect(trafficPolicies.map(({ defaultVersion }) => defaultVersion)).toEqual(['v1']);
      const method = revision % 2n === 0n ? 'deactivateRoute' : 'activateRoute';
      const { change } = await bench.client.routes[method]({ key: keyOf(tenant) });
      expect(await next(watch)).toMatchObject({
        revision: revision + 1n,
        commitId: change?.commitId,
        event: { $case: 'changeBatch', value: { changes: [change], continued: false } },
      });
      await watch.return();
    }
  });

  test('after revision 0 gets every change from the very first, and no snapshot', async () => {
    const tenant = await withRoutes();
    const response = await next(bench.client.watch({ tenant, afterRevision: 0n }));
    expect(changesIn(response).map(({ revision }) => revision)).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
    expect(changesIn(response).map(({ resource }) => resource?.$case)).toEqual([
      'tenantChange',
      'route',
      'route',
      'route',
      'route',
      'trafficPolicy',
    ]);
  });

  test('resumes anywhere after the last message, with what came since', async () => {
    const tenant = await withRoutes();
    const [one, two] = bench.replicas;
    const first = await next(one?.client.watch({ tenant }) as Watch);
    await bench.client.routes.deactivateRoute({ key: keyOf(tenant) });
    await bench.client.routes.activateRoute({ key: keyOf(tenant) });
    for (const replica of [one, two]) {
      const watch = replica?.client.watch({ tenant, afterRevision: first.revision, afterCommitId: first.commitId });
      const seen: bigint[] = [];
      while (seen.length < 2) seen.push(...changesIn(await next(watch as Watch)).map(({ revision }) => revision));
      expect(seen).toEqual([first.revision + 1n, first.revision + 2n]);
    }
  });

  test.for([
    ['a revision that is not reached', { afterRevision: 100n }, 'REVISION_IN_FUTURE'],
    ['a commit of another history', { afterRevision: 3n, afterCommitId: 'ffffffffffffffff' }, 'HISTORY_DIVERGED'],
  ] as const)('after %s is OUT_OF_RANGE', async ([, fields, reason]) => {
    const tenant = await withRoutes();
    for (const { client } of bench.replicas) {
      await expect(client.watch({ tenant, ...fields }).next()).rejects.toMatchObject({ code: 'OUT_OF_RANGE', reason });
    }
  });

  test('of no tenant is NOT_FOUND', async () => {
    await expect(bench.client.watch({ tenant: 'nobody' }).next()).rejects.toMatchObject({
      code: 'NOT_FOUND',
      reason: 'TENANT_NOT_FOUND',
    });
  });

  test('of some services and environments sees only those, and learns how far the stream has come', async () => {
    const tenant = await withRoutes();
    const watch = bench.client.watch({
      tenant,
      services: ['shop'],
      environments: ['production', 'staging'],
      progressInterval: { seconds: 0n, nanos: 100_000_000 },
    });
    const first = await next(watch);
    if (first.event?.$case !== 'snapshotChunk') throw new Error('a snapshot');
    expect(first.event.value.routes.map(({ key }) => key?.service)).toEqual(['shop']);
    expect(first.event.value.trafficPolicies).toEqual([]);
    await bench.client.routes.deactivateRoute({ key: keyOf(tenant) });
    await bench.client.routes.createRoute({
      route: routeOf(keyOf(tenant, 'v1', { service: 'shop', environment: 'test' })),
    });
    const { change } = await bench.client.routes.createRoute({
      route: routeOf(keyOf(tenant, 'v1', { service: 'shop', environment: 'staging' })),
    });
    const { revision: last } = await bench.client.routes.activateRoute({ key: keyOf(tenant) });
    const seen: unknown[] = [];
    let reached = first.revision;
    while (reached < last) {
      const response = await next(watch);
      seen.push(...changesIn(response));
      reached = response.revision;
    }
    expect(seen).toEqual([change]);
  });

  test('that is silent hears of progress', async () => {
    const tenant = await withRoutes();
    const watch = bench.client.watch({
      tenant,
      afterRevision: 6n,
      progressInterval: { seconds: 0n, nanos: 100_000_000 },
    });
    for (let round = 0; round < 3; round++) {
      expect(await next(watch)).toMatchObject({ revision: 6n, event: { $case: 'progress' } });
    }
  });

  test('of a thousand routes gets all of them in chunks, the last one marked', async () => {
    const tenant = await bench.newTenant();
    const endpoints = Array.from({ length: 100 }, (_, index) => ({
      url: `http://host-${index}.internal/${'p'.repeat(40)}`,
      weight: 1,
      zone: '',
      priority: 0,
      labels: {},
    }));
    const versions = Array.from({ length: 300 }, (_, index) => `v${index}`);
    await Promise.all(
      versions.map(
        async (version) =>
          await bench.client.routes.createRoute({ route: routeOf(keyOf(tenant, version), { endpoints }) }),
      ),
    );
    const watch = bench.client.watch({ tenant });
    const seen: string[] = [];
    let chunks = 0;
    for (let last = false; !last; chunks++) {
      const { event, revision } = await next(watch);
      if (event?.$case !== 'snapshotChunk') throw new Error('a snapshot');
      expect(revision).toBe(301n);
      seen.push(...event.value.routes.map(({ key }) => key?.version ?? ''));
      last = event.value.last;
    }
    expect(chunks).toBeGreaterThan(1);
    expect(seen.toSorted()).toEqual(versions.toSorted());
  });

  test('that joins while others write sees every change exactly once, in order, and ends with what there is', async () => {
    const tenant = await bench.newTenant();
    const clients = bench.replicas.map(({ client }) => client);
    const writers = 6;
    const writesEach = 40;
    const last = BigInt(1 + writers * writesEach);
    const watching: Promise<Watcher>[] = [];
    const watchers = async (): Promise<Watcher> => {
      const watcher = new Watcher();
      const client = clients[watching.length % clients.length] ?? bench.client;
      await watcher.follow(client.watch({ tenant }), last);
      return watcher;
    };
    watching.push(watchers());
    await Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        const { routes } = clients[writer % clients.length] ?? bench.client;
        const key = keyOf(tenant, `v${writer}`);
        await routes.createRoute({ route: routeOf(key) });
        for (let write = 1; write < writesEach; write++) {
          const methods = ['deactivateRoute', 'deleteRoute', 'undeleteRoute', 'activateRoute'] as const;
          await routes[methods[(write - 1) % methods.length] ?? 'activateRoute']({ key });
          if (write % 5 === writer % 5) watching.push(watchers());
        }
      }),
    );
    const all = await Promise.all(watching);
    expect(all.length).toBeGreaterThan(20);
    const expected = await liveRoutes(bench.client, tenant);
    for (const watcher of all) {
      expect(watcher.revision).toBe(last);
      expect(watcher.routes).toEqual(expected);
    }
  });

  test('that breaks off again and again, and resumes through the other replica, misses nothing', async () => {
    const tenant = await bench.newTenant();
    const watcher = new Watcher();
    const clients = bench.replicas.map(({ client }) => client);
    watcher.take(await next(bench.client.watch({ tenant })));
    const last = 101n;
    const writing = (async () => {
      for (let version = 0; version < 100; version++) {
        await bench.client.routes.createRoute({ route: routeOf(keyOf(tenant, `v${version}`)) });
      }
    })();
    for (let turn = 0; watcher.revision < last; turn++) {
      const { revision, commitId } = watcher;
      const client = clients[turn % clients.length] ?? bench.client;
      const watch = client.watch({ tenant, afterRevision: revision, afterCommitId: commitId });
      watcher.take(await next(watch));
      await watch.return();
    }
    await writing;
    expect(watcher.routes).toEqual(await liveRoutes(bench.client, tenant));
  });

  test('does not hold up others by not reading', async () => {
    const tenant = await bench.newTenant();
    const silent = Array.from({ length: 5 }, () => bench.client.watch({ tenant }));
    await Promise.all(silent.map(next));
    const reading = bench.client.watch({ tenant });
    const watcher = new Watcher();
    watcher.take(await next(reading));
    for (let version = 0; version < 200; version++) {
      await bench.client.routes.createRoute({ route: routeOf(keyOf(tenant, `v${version}`)) });
    }
    await watcher.follow(reading, 201n);
    // And who reads late has lost nothing.
    for (const watch of silent) {
      const late = new Watcher();
      late.revisions.push(1n);
      await late.follow(watch, 201n);
      expect(late.revisions).toHaveLength(201);
    }
  });

  test('tells what belongs together by its commit', async () => {
    const tenant = await withRoutes();
    const watch = bench.client.watch({ tenant, afterRevision: 6n });
    const split = message(TrafficPolicy, { ...policyOf(tenant, ''), split: [{ version: 'v1', weight: 1 }] });
    await bench.client.policies.setTrafficPolicy({ trafficPolicy: split });
    await bench.client.routes.deactivateRoute({ key: keyOf(tenant) });
    const changes: ReturnType<typeof changesIn> = [];
    while (changes.length < 2) changes.push(...changesIn(await next(watch)));
    expect(new Set(changes.map(({ commitId }) => commitId)).size).toBe(2);
    for (const { revision, commitRevision } of changes) expect(commitRevision).toBe(revision);
  });
});
