import { describe, expect, test } from 'vitest';
import { TrafficManagerError, type TrafficManagerClient } from '../../src/client/index.ts';
import { endpointAt, keyOf, routeOf, useControlPlanes } from './control-plane-bench.ts';

const strong = { requirement: { $case: 'strong', value: true } } as const;

describe('two replicas over one database', () => {
  const bench = useControlPlanes(2);
  const both = (): readonly [TrafficManagerClient, TrafficManagerClient] => {
    const [one, two] = bench.replicas;
    if (one === undefined || two === undefined) throw new Error('two replicas');
    return [one.client, two.client];
  };

  test('each read what the other has written, at once', async () => {
    const tenant = await bench.newTenant();
    const [one, two] = both();
    const key = keyOf(tenant);
    await one.routes.createRoute({ route: routeOf(key) });
    for (let write = 0; write < 30; write++) {
      const [writer, reader] = write % 2 === 0 ? [one, two] : [two, one];
      const url = `grpc://host-${write}`;
      const { revision } = await writer.routes.updateRoute({ route: routeOf(key, { endpoints: [endpointAt(url)] }) });
      const minRevision = { requirement: { $case: 'minRevision', value: revision } } as const;
      const answers = await Promise.all([
        reader.routes.getRoute({ key }),
        reader.resolver.resolve({ key, consistency: strong }),
        reader.resolver.resolve({ key, consistency: minRevision }),
        reader.routes.listRoutes({ tenant }).then(({ routes }) => ({ route: routes[0] })),
      ]);
      expect(answers.map(({ route }) => route?.endpoints[0]?.url)).toEqual([url, url, url, url]);
      expect((await reader.tenants.getTenant({ tenant })).tenant?.revision).toBe(revision);
    }
  });

  test('take hundreds of concurrent writes of one tenant: each once, gap-free, and both have the same in the end', async () => {
    const tenant = await bench.newTenant();
    const writes = 600;
    const answers = await Promise.all(
      Array.from({ length: writes }, async (_, write) => {
        const { routes } = both()[write % 2] ?? both()[0];
        const route = routeOf(keyOf(tenant, `v${write % 150}`, { service: `service-${write % 4}` }), {
          endpoints: [endpointAt(`grpc://host-${write}`)],
        });
        return await routes.updateRoute({ route, allowMissing: true, requestId: `write-${write}` });
      }),
    );
    const revisions = answers.map(({ change }) => Number(change?.revision));
    expect(revisions.toSorted((left, right) => left - right)).toEqual(Array.from({ length: writes }, (_, i) => i + 2));

    const watched = new Map<number, unknown>();
    const last = writes + 1;
    for (const client of both()) {
      const seen: number[] = [];
      for await (const { event } of client.watch({ tenant, afterRevision: 1n })) {
        if (event?.$case !== 'changeBatch') continue;
        for (const change of event.value.changes) {
          seen.push(Number(change.revision));
          // Both replicas tell the same of a change, and what its writer was answered.
          expect(watched.get(Number(change.revision)) ?? change).toEqual(change);
          watched.set(Number(change.revision), change);
        }
        if (seen.at(-1) === last) break;
      }
      expect(seen).toEqual(Array.from({ length: writes }, (_, i) => i + 2));
    }
    for (const { change } of answers) expect(watched.get(Number(change?.revision))).toEqual(change);

    const [one, two] = await Promise.all(
      both().map(async ({ routes }) => await routes.listRoutes({ tenant, pageSize: 1_000 })),
    );
    expect(one?.routes).toHaveLength(300);
    expect(two).toEqual(one);
    for (const { key, etag } of one?.routes ?? []) {
      for (const { resolver } of both()) {
        const consistency = { requirement: { $case: 'minRevision', value: BigInt(last) } } as const;
        expect((await resolver.resolve({ key, consistency })).route?.etag).toBe(etag);
      }
    }
  });

  test('create one route of many that are asked for at once, and refuse the others', async () => {
    const tenant = await bench.newTenant();
    const results = await Promise.allSettled(
      Array.from({ length: 40 }, async (_, write) => {
        const { routes } = both()[write % 2] ?? both()[0];
        return await routes.createRoute({
          route: routeOf(keyOf(tenant), { endpoints: [endpointAt(`grpc://host-${write}`)] }),
        });
      }),
    );
    const created = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    expect(created.map(({ revision }) => revision)).toEqual([2n]);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ reason: 'ALREADY_EXISTS' });
    }
    expect((await bench.client.routes.getRoute({ key: keyOf(tenant) })).route).toEqual(created[0]?.route);
  });

  test('carry out one of two bodies that come with one request id at once', async () => {
    for (let round = 0; round < 15; round++) {
      const tenant = await bench.newTenant();
      const results = await Promise.allSettled(
        both().map(
          async ({ routes }, replica) =>
            await routes.createRoute({ route: routeOf(keyOf(tenant, `replica-${replica}`)), requestId: 'same' }),
        ),
      );
      const reasons = results.map((result) => {
        if (result.status === 'fulfilled') return 'done';
        return result.reason instanceof TrafficManagerError ? result.reason.reason : 'unknown';
      });
      expect(reasons.toSorted()).toEqual(['REQUEST_ID_REUSED', 'done']);
      expect((await bench.client.routes.listRoutes({ tenant })).routes).toHaveLength(1);
    }
  });

  test('answer eventual lookups of a tenant that the other one has created a moment ago', async () => {
    for (let round = 0; round < 15; round++) {
      const tenant = await bench.newTenant();
      const [one, two] = both();
      await one.routes.createRoute({ route: routeOf(keyOf(tenant)) });
      // Its memory may not have the route yet; that there is no such tenant it must not say.
      const answer = await two.resolver.resolve({ key: keyOf(tenant) }).catch((error: unknown) => error);
      if (answer instanceof TrafficManagerError) expect(answer.reason).toBe('ROUTE_NOT_FOUND');
      else expect(answer).toMatchObject({ route: { key: keyOf(tenant) } });
    }
  });

  test('write to many tenants side by side', async () => {
    const tenants = await Promise.all(Array.from({ length: 20 }, async () => await bench.newTenant()));
    await Promise.all(
      tenants.flatMap((tenant) =>
        Array.from({ length: 10 }, async (_, write) => {
          const { routes } = both()[write % 2] ?? both()[0];
          return await routes.createRoute({ route: routeOf(keyOf(tenant, `v${write}`)) });
        }),
      ),
    );
    for (const tenant of tenants) {
      expect((await bench.client.tenants.getTenant({ tenant })).tenant?.revision).toBe(11n);
    }
  });
});
