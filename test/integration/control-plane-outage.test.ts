import { describe, expect, test } from 'vitest';
import { message, Tenant, TrafficManagerError, type TrafficManagerClient } from '../../src/client/index.ts';
import { RouteServiceService } from '../../src/gen/trafficmanager/v1/route_service.ts';
import { PostgresConfigurationStore } from '../../src/outbound/postgres/postgres-configuration-store.ts';
import { Database } from '../../src/outbound/postgres/database.ts';
import { TenantState } from '../../src/domain/tenant-view.ts';
import { callRaw, startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts';
import { createDatabase, startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { endpointAt, keyOf, routeOf, snapshotOf } from './control-plane-bench.ts';

const tenant = 'acme';
const strong = { requirement: { $case: 'strong', value: true } } as const;
const maxStaleness = (nanos: number) =>
  ({ requirement: { $case: 'maxStaleness', value: { seconds: 0n, nanos } } }) as const;

type Bench = AsyncDisposable & {
  readonly postgres: TestPostgres;
  readonly databaseUrl: string;
  readonly replicas: readonly [TestControlPlane, TestControlPlane];
};

/** Two control planes over a Postgres of their own, which keeps what it has committed when it is killed. */
async function start(): Promise<Bench> {
  const owned = new AsyncDisposableStack();
  try {
    const postgres = owned.use(await startTestPostgres({ durable: true }));
    const { url } = await createDatabase(postgres.url);
    const replicas = [
      owned.use(await startTestControlPlane(url, { databaseTimeoutMs: 5_000 })),
      owned.use(await startTestControlPlane(url, { databaseTimeoutMs: 5_000 })),
    ] as const;
    await replicas[0].client.tenants.createTenant({ tenant: message(Tenant, { tenant }) });
    return { postgres, databaseUrl: url, replicas, [Symbol.asyncDispose]: async () => await owned.disposeAsync() };
  } catch (error) {
    await owned.disposeAsync();
    throw error;
  }
}

/** Something that is waited for. */
class Occasion {
  #happen: (() => void) | undefined;
  readonly happened = new Promise<void>((resolve) => (this.#happen = resolve));
  happen(): void {
    this.#happen?.();
  }
}

/** Writers that go on whatever happens: each write has an id, and is repeated with it until it is acknowledged. */
class Writers {
  readonly acknowledged = new Map<string, bigint>();
  readonly #clients: readonly TrafficManagerClient[];
  #enough = false;
  #expected: { readonly count: number; readonly occasion: Occasion } | undefined;
  #onFailure: Occasion | undefined;
  failures = 0;

  constructor(clients: readonly TrafficManagerClient[]) {
    this.#clients = clients;
  }

  async run(writers: number): Promise<void> {
    await Promise.all(Array.from({ length: writers }, async (_, writer) => await this.#write(writer)));
  }

  stop(): void {
    this.#enough = true;
  }

  /** Resolves when so many more writes are acknowledged. */
  async more(count: number): Promise<void> {
    const occasion = new Occasion();
    this.#expected = { count: this.acknowledged.size + count, occasion };
    await occasion.happened;
  }

  /** Resolves when a write is refused. */
  async refused(): Promise<void> {
    this.#onFailure = new Occasion();
    await this.#onFailure.happened;
  }

  async #write(writer: number): Promise<void> {
    for (let write = 0; !this.#enough; write++) {
      const requestId = `writer-${writer}-write-${write}`;
      for (let attempt = 0; !this.acknowledged.has(requestId); attempt++) {
        const client = this.#clients[(writer + attempt) % this.#clients.length];
        if (client === undefined) throw new Error('there are clients');
        await this.#attempt(client, `v${writer}`, requestId);
      }
    }
  }

  async #attempt({ routes }: TrafficManagerClient, version: string, requestId: string): Promise<void> {
    const route = routeOf(keyOf(tenant, version), { endpoints: [endpointAt(`grpc://${requestId}`)] });
    try {
      const { change } = await routes.updateRoute(
        { route, allowMissing: true, requestId },
        { correlationId: requestId },
      );
      expect(change).toMatchObject({ correlationId: requestId });
      this.acknowledged.set(requestId, change?.revision ?? 0n);
      if (this.#expected !== undefined && this.acknowledged.size >= this.#expected.count)
        this.#expected.occasion.happen();
    } catch (error) {
      if (!(error instanceof TrafficManagerError)) throw error;
      expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'DATABASE_UNAVAILABLE', retryDelayMs: 1_000 });
      this.failures += 1;
      this.#onFailure?.happen();
    }
  }
}

describe('a Postgres that is killed and comes back', () => {
  test('has every acknowledged write, each once, and nothing half of one', async () => {
    await using bench = await start();
    const { postgres, replicas, databaseUrl } = bench;
    const writers = new Writers(replicas.map(({ client }) => client));
    const running = writers.run(8);
    for (let crash = 0; crash < 2; crash++) {
      await writers.more(60);
      await postgres.crash();
      // Once long enough for a write to be refused, once so short that the retries inside may bridge it.
      if (crash === 0) await writers.refused();
      await postgres.start();
    }
    await writers.more(60);
    writers.stop();
    await running;
    expect(writers.failures).toBeGreaterThan(0);

    const options = { url: databaseUrl, poolSize: 2, statementTimeoutMs: 30_000, responseTimeoutMs: 30_000 };
    await using database = new Database({ ...options, onIdleError: () => {} });
    const store = new PostgresConfigurationStore(database);
    const log = await store.changesFrom(tenant, 1, 100_000);
    expect(log.map(({ revision }) => revision)).toEqual(log.map((_, index) => index + 1));
    const byRequest = Map.groupBy(log, ({ correlationId }) => correlationId);
    for (const [requestId, revision] of writers.acknowledged) {
      expect(byRequest.get(requestId)?.map((change) => BigInt(change.revision))).toEqual([revision]);
    }
    // Nothing but the tenant and the writes, as every one of them was acknowledged in the end.
    expect(log).toHaveLength(1 + writers.acknowledged.size);

    const replayed = new TenantState();
    for (const change of log) replayed.apply(change);
    const snapshot = await store.load(tenant);
    expect(snapshot?.position.revision).toBe(log.length);
    const routes = [...replayed.all()].flatMap((group) => [...group.routes.values()]);
    expect(snapshot?.routes).toHaveLength(routes.length);
    expect(snapshot?.routes).toEqual(expect.arrayContaining(routes));

    for (const { client: each } of replicas) {
      for (const route of routes) {
        expect((await each.resolver.resolve({ key: route.key, consistency: strong })).route?.etag).toBe(route.etag);
      }
    }
  });
});

describe('a Postgres that is down', () => {
  test('leaves lookups and watches as they are, and refuses what needs it with a reason and a hint', async () => {
    await using bench = await start();
    const { postgres, replicas } = bench;
    const [{ client, address }] = replicas;
    const key = keyOf(tenant);
    const kept = keyOf(tenant, 'kept');
    await client.routes.createRoute({ route: routeOf(kept) });
    const { route, revision } = await client.routes.createRoute({ route: routeOf(key) });
    const watch = client.watch({ tenant, progressInterval: { seconds: 0n, nanos: 100_000_000 } });
    await snapshotOf(watch, revision);
    await postgres.stop();

    const unavailable = { code: 'UNAVAILABLE', reason: 'DATABASE_UNAVAILABLE', retryDelayMs: 1_000 };
    await expect(client.routes.getRoute({ key })).rejects.toMatchObject(unavailable);
    await expect(client.routes.listRoutes({ tenant })).rejects.toMatchObject(unavailable);
    await expect(client.tenants.getTenant({ tenant })).rejects.toMatchObject(unavailable);
    await expect(client.resolver.resolve({ key, consistency: strong })).rejects.toMatchObject(unavailable);
    await expect(client.routes.deleteRoute({ key, requestId: 'later' })).rejects.toMatchObject(unavailable);
    // What the driver says stays inside.
    const raw = await callRaw(
      address,
      RouteServiceService.getRoute.path,
      RouteServiceService.getRoute.requestSerialize({ key }),
    );
    expect(raw.status?.message).toBe('the database cannot be reached; repeat the call with the same request id');

    expect(await client.resolver.resolve({ key })).toMatchObject({ route, freshness: { revision } });
    await expect(client.resolver.resolve({ key, consistency: maxStaleness(1) })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'STALENESS_EXCEEDED',
    });
    // The poll notices by itself, and from then on every answer says so.
    for (;;) {
      const { freshness } = await client.resolver.resolve({ key });
      if (freshness?.stale === true) break;
    }
    expect((await watch.next()).value).toMatchObject({ revision, event: { $case: 'progress' } });

    await postgres.start();
    const later = await client.routes.deleteRoute({ key, requestId: 'later' });
    expect(later.change).toBeDefined();
    for (;;) {
      const { value } = await watch.next();
      if (value?.event?.$case !== 'changeBatch') continue;
      expect(value.event.value.changes).toEqual([later.change]);
      break;
    }
    // Every replica follows again, by itself.
    for (const replica of replicas) {
      for (;;) {
        const { freshness } = await replica.client.resolver.resolve({ key: kept });
        if (freshness?.stale === false && freshness.revision === later.revision) break;
      }
    }
  });
});
