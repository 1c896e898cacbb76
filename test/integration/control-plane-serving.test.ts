import { fileURLToPath } from 'node:url';
import { status, type MethodDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { describe, expect, inject, test } from 'vitest';
import { createTransport, message, Tenant, TrafficManagerError, type Transport } from '../../src/client/index.ts';
import { GetTenantRequest } from '../../src/gen/trafficmanager/v1/tenant_service.ts';
import { callRaw, startTestReplicas, type TestControlPlane } from '../support/control-plane.ts';
import { keyOf, routeOf, snapshotOf, useControlPlanes } from './control-plane-bench.ts';

const services = ['RouteService', 'TrafficPolicyService', 'TenantService', 'ResolverService', 'WatchService'].map(
  (name) => `trafficmanager.v1.${name}`,
);

function methodOf(packagePath: string, service: string, method: string): MethodDefinition<object, object> {
  const file = fileURLToPath(import.meta.resolve(packagePath));
  const definition = loadSync(file, { keepCase: true, enums: String })[service] as Record<
    string,
    MethodDefinition<object, object>
  >;
  const found = definition[method];
  if (found === undefined) throw new Error(`${service} has no ${method}`);
  return found;
}

const healthProto = 'grpc-health-check/proto/health/v1/health.proto';

async function healthOf(transport: Transport, service: string): Promise<unknown> {
  return await transport.unary(methodOf(healthProto, 'grpc.health.v1.Health', 'Check'), { service });
}

describe('a control plane', () => {
  const bench = useControlPlanes();

  test.for(['', ...services])('is SERVING: "%s"', async (service) => {
    expect(await healthOf(bench.client.transport, service)).toEqual({ status: 'SERVING' });
  });

  test('knows nothing of the health of other services', async () => {
    await expect(healthOf(bench.client.transport, 'other')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('describes its services by reflection', async () => {
    const method = methodOf(
      '@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto',
      'grpc.reflection.v1.ServerReflection',
      'ServerReflectionInfo',
    );
    async function* questions() {
      yield await Promise.resolve({ list_services: '' });
      for (const service of services) yield { file_containing_symbol: service };
    }
    const answers: Record<string, { service?: { name: string }[]; file_descriptor_proto?: Buffer[] }>[] = [];
    for await (const answer of bench.client.transport.duplex(method, questions())) answers.push(answer as never);
    const listed = answers[0]?.['list_services_response']?.service?.map(({ name }) => name);
    expect(listed).toEqual(expect.arrayContaining(services));
    expect(answers).toHaveLength(1 + services.length);
    for (const answer of answers.slice(1)) {
      expect(answer['file_descriptor_response']?.file_descriptor_proto?.length).toBeGreaterThan(0);
    }
  });

  test('does not know methods that it has not', async () => {
    const { code } = await callRaw(bench.address, '/trafficmanager.v1.RouteService/Explode', Buffer.alloc(0));
    expect(code).toBe(status.UNIMPLEMENTED);
  });
});

describe('a correlation id', () => {
  const bench = useControlPlanes();
  const getTenant = async (tenant: string, headers: Record<string, string> = {}) =>
    await callRaw(
      bench.address,
      '/trafficmanager.v1.TenantService/GetTenant',
      GetTenantRequest.encode({ tenant }).finish(),
      headers,
    );

  test('of the caller comes back in the trailers, whether the call succeeds or not', async () => {
    const tenant = await bench.newTenant();
    for (const [asked, code] of [
      [tenant, status.OK],
      ['nobody', status.NOT_FOUND],
      ['NOBODY', status.INVALID_ARGUMENT],
    ] as const) {
      const outcome = await getTenant(asked, { 'x-correlation-id': 'shop-42 / ~!' });
      expect(outcome.code).toBe(code);
      expect(outcome.trailers.get('x-correlation-id')).toEqual(['shop-42 / ~!']);
    }
  });

  test('is made when the caller has none, or none that a log can take', async () => {
    const tenant = await bench.newTenant();
    const seen = new Set<unknown>();
    for (const headers of [{}, { 'x-correlation-id': '' }, { 'x-correlation-id': 'x'.repeat(129) }] as Record<
      string,
      string
    >[]) {
      const [id] = (await getTenant(tenant, headers)).trailers.get('x-correlation-id');
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
      seen.add(id);
    }
    expect(seen.size).toBe(3);
  });

  test('and the actor stand in the change, and stay there', async () => {
    const tenant = await bench.newTenant();
    const { change } = await bench.client.routes.createRoute(
      { route: routeOf(keyOf(tenant)) },
      { correlationId: 'deploy-7', actor: 'alice@acme' },
    );
    expect(change).toMatchObject({ correlationId: 'deploy-7', actor: 'alice@acme' });
    const watch = bench.client.watch({ tenant, afterRevision: 1n });
    const { value: first } = await watch.next();
    expect(first?.event).toEqual({ $case: 'changeBatch', value: { changes: [change], continued: false } });
    await watch.return();
  });
});

describe('a control plane that shuts down', () => {
  async function serving(): Promise<TestControlPlane & { readonly tenant: string }> {
    const started = await startTestReplicas(inject('postgresUrl'), 1);
    const [replica] = started.replicas;
    if (replica === undefined) throw new Error('one replica');
    await replica.client.tenants.createTenant({ tenant: message(Tenant, { tenant: 'acme' }) });
    await replica.client.routes.createRoute({ route: routeOf(keyOf('acme')) });
    return { ...replica, tenant: 'acme', [Symbol.asyncDispose]: async () => await started[Symbol.asyncDispose]() };
  }

  test('ends its watches with SHUTTING_DOWN and a resume point that has been sent', async () => {
    await using controlPlane = await serving();
    using transport = createTransport({ address: controlPlane.address });
    const watch = controlPlane.client.watch({ tenant: 'acme' });
    await snapshotOf(watch, 2n);
    const ended = watch.next();
    const stopped = controlPlane.stop();
    await expect(ended).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'SHUTTING_DOWN', retryDelayMs: 0 });
    await stopped;
    await expect(healthOf(transport, '')).rejects.toBeInstanceOf(TrafficManagerError);
  });

  test('tells those who watch its health', async () => {
    await using controlPlane = await serving();
    using transport = createTransport({ address: controlPlane.address });
    const caller = new AbortController();
    const watch = transport.serverStream(
      methodOf(healthProto, 'grpc.health.v1.Health', 'Watch'),
      { service: services[0] ?? '' },
      { signal: caller.signal },
    );
    expect((await watch.next()).value).toEqual({ status: 'SERVING' });
    const told = watch.next();
    const stopped = controlPlane.stop();
    expect((await told).value).toEqual({ status: 'NOT_SERVING' });
    caller.abort();
    await stopped;
  });

  test('finishes the calls under way', async () => {
    await using controlPlane = await serving();
    using other = createTransport({ address: controlPlane.address });
    const waiting = controlPlane.client.resolver.resolve(
      { key: keyOf('acme'), consistency: { requirement: { $case: 'minRevision', value: 99n } } },
      { timeoutMs: 1_000 },
    );
    // An answer to a later call over the same connection: the one before it has been taken.
    await controlPlane.client.tenants.getTenant({ tenant: 'acme' });
    const stopped = controlPlane.stop();
    await expect(waiting).rejects.toMatchObject({ reason: 'REVISION_NOT_REACHED' });
    await stopped;
    await expect(healthOf(other, '')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
