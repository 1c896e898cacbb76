import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { readSidecarConfig } from '../../sidecar/config.ts';
import { startSidecar } from '../../sidecar/sidecar.ts';
import {
  createClient,
  Endpoint,
  message,
  Route,
  Tenant,
  TrafficManagerError,
  type TrafficManagerClient,
} from '../../src/client/index.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { startTestControlPlane, startTestReplicas, type TestReplicas } from '../support/control-plane.ts';

let replicas: TestReplicas;
let tenants = 0;

beforeAll(async () => {
  replicas = await startTestReplicas(inject('postgresUrl'), 2);
});
afterAll(async () => replicas[Symbol.asyncDispose]());

function clients(): [TrafficManagerClient, TrafficManagerClient] {
  const [one, two] = replicas.replicas;
  return [one!.client, two!.client];
}

async function newTenant(): Promise<string> {
  const tenant = `watched-${++tenants}`;
  await clients()[0].tenants.createTenant({ tenant: message(Tenant, { tenant }) });
  return tenant;
}

async function write(client: TrafficManagerClient, tenant: string, version: string): Promise<bigint> {
  const key = { tenant, service: 'cart', environment: 'production', version };
  const endpoints = [message(Endpoint, { url: `grpc://${crypto.randomUUID()}:1` })];
  const { revision } = await client.routes.updateRoute({
    route: message(Route, { key, endpoints }),
    allowMissing: true,
  });
  return revision;
}

/** Revisions of the changes that a watch tells, until it has come to one. */
async function watchUntil(
  client: TrafficManagerClient,
  tenant: string,
  end: { revision: bigint | undefined },
): Promise<bigint[]> {
  const revisions: bigint[] = [];
  for await (const { event, revision } of client.watch({
    tenant,
    afterRevision: 0n,
    everyChange: true,
    progressInterval: { seconds: 0n, nanos: 100e6 },
  })) {
    if (event?.$case === 'changeBatch') revisions.push(...event.value.changes.map((change) => change.revision));
    if (end.revision !== undefined && revision >= end.revision) return revisions;
  }
  throw new Error('the watch ended');
}

describe('two replicas over one database', () => {
  test('both tell every change once and in order, whichever of them it was written on, and so does a sidecar', async () => {
    const tenant = await newTenant();
    const [one, two] = clients();
    const sidecar = await startSidecar(
      readSidecarConfig({
        TM_SIDECAR_ADDRESS: '127.0.0.1:0',
        TM_SIDECAR_SOCKET: 'off',
        TM_SIDECAR_SOURCE: `grpc://${replicas.replicas[1]!.address}`,
        TM_SIDECAR_TENANTS: tenant,
      }),
      createLogger('sidecar', 'silent'),
    );
    const beside = createClient({ address: sidecar.addresses[0]! });
    try {
      const end: { revision: bigint | undefined } = { revision: undefined };
      const watches = [one, two, one, two].map((client) => watchUntil(client, tenant, end));
      const told = (async () => {
        let last = -1n;
        for await (const { revision } of beside.watch({ tenant, progressInterval: { seconds: 0n, nanos: 100e6 } })) {
          expect(revision).toBeGreaterThanOrEqual(last);
          last = revision;
          if (end.revision !== undefined && revision >= end.revision) return last;
        }
        return last;
      })();
      const written = await Promise.all(
        Array.from({ length: 8 }, async (_, writer) => {
          let revision = 0n;
          for (let index = 0; index < 25; index++)
            revision = await write(writer % 2 === 0 ? one : two, tenant, `v${index % 3}`);
          return revision;
        }),
      );
      end.revision = written.reduce((left, right) => (left > right ? left : right));
      // The tenant's creation is the first of them.
      expect(end.revision).toBe(201n);
      const wanted = Array.from({ length: 201 }, (_, index) => BigInt(index + 1));
      for (const revisions of await Promise.all(watches)) expect(revisions).toEqual(wanted);
      expect(await told).toBe(201n);
    } finally {
      beside.close();
      await sidecar[Symbol.asyncDispose]();
    }
  });

  test('a watch goes on where it was on the other replica, also when that has not heard of its revision yet', async () => {
    const tenant = await newTenant();
    const [one, two] = clients();
    const seen: bigint[] = [];
    let after = { revision: 0n, commitId: '' };
    for (let round = 0; round < 20; round++) {
      const revision = await write(round % 2 === 0 ? one : two, tenant, 'v1');
      const client = round % 2 === 0 ? two : one;
      for await (const response of client.watch({
        tenant,
        afterRevision: after.revision,
        afterCommitId: after.commitId,
      })) {
        if (response.event?.$case === 'changeBatch')
          seen.push(...response.event.value.changes.map((change) => change.revision));
        after = { revision: response.revision, commitId: response.commitId };
        if (response.revision >= revision) break;
      }
    }
    expect(seen).toEqual(Array.from({ length: 21 }, (_, index) => BigInt(index + 1)));
  });

  test('a revision that no replica has is a future one on both', async () => {
    const tenant = await newTenant();
    for (const client of clients()) {
      const refused: unknown = await client
        .watch({ tenant, afterRevision: 5n })
        .next()
        .then(
          () => undefined,
          (error: unknown) => error,
        );
      expect(refused).toBeInstanceOf(TrafficManagerError);
      expect(refused).toMatchObject({
        code: 'OUT_OF_RANGE',
        reason: 'REVISION_IN_FUTURE',
        metadata: { newest_revision: '1' },
      });
    }
  });

  test('a replica that is new reads what is older than its memory from the log', async () => {
    const tenant = await newTenant();
    const [one] = clients();
    for (let index = 0; index < 30; index++) await write(one, tenant, `v${index % 3}`);
    await using late = await startTestControlPlane(replicas.databaseUrl);
    const revisions = await watchUntil(late.client, tenant, { revision: 31n });
    expect(revisions).toEqual(Array.from({ length: 31 }, (_, index) => BigInt(index + 1)));
  });
});

describe('the quota of a tenant', () => {
  test('bounds its watches on a replica, not those of others', async () => {
    const [tenant, other] = [await newTenant(), await newTenant()];
    const [one] = clients();
    await one.tenants.updateTenant({
      tenant: message(Tenant, { tenant, quotas: { watchersMax: 1 } }),
      updateMask: ['quotas'],
    });
    const first = one.watch({ tenant });
    await first.next();
    const refused: unknown = await one
      .watch({ tenant })
      .next()
      .then(
        () => undefined,
        (error: unknown) => error,
      );
    expect(refused).toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      reason: 'WATCHER_LIMIT',
      metadata: { watchers_max: '1' },
    });
    const elsewhere = one.watch({ tenant: other });
    expect((await elsewhere.next()).done).toBe(false);
    await first.return();
    await elsewhere.return();
  });
});

describe('a deleted tenant', () => {
  test('is told as a change to who watches it, and is not found by who begins', async () => {
    const tenant = await newTenant();
    const [one, two] = clients();
    const watch = two.watch({ tenant });
    await watch.next();
    const told = watch.next();
    await one.tenants.deleteTenant({ tenant });
    expect(await told).toMatchObject({
      value: { revision: 2n, event: { value: { changes: [{ resource: { $case: 'tenantChange' } }] } } },
    });
    for (const client of [one, two]) {
      const refused: unknown = await client
        .watch({ tenant })
        .next()
        .then(
          () => undefined,
          (error: unknown) => error,
        );
      expect(refused).toMatchObject({ code: 'NOT_FOUND', reason: 'TENANT_NOT_FOUND' });
    }
    const next = watch.next();
    await one.tenants.undeleteTenant({ tenant });
    expect(await next).toMatchObject({ value: { revision: 3n } });
    await watch.return();
  });
});
