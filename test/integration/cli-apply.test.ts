import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createClient, message, Route, RouteState, TrafficManagerError } from '../../src/client/index.ts';
import { ApplyError, applyFile, type ApplyOptions } from '../../src/cli/apply.ts';
import { deactivateRoutes, deactivationsOf } from '../../src/cli/deactivate-routes.ts';
import { cliLimits } from '../../src/cli/limits.ts';
import { startFakeControlPlane, type FakeControlPlane } from './cli-fake-control-plane.ts';
import { Refusal } from './cli-refusal.ts';

const SHOP = new URL('../../deploy/examples/shop.yaml', import.meta.url).pathname;

let server: FakeControlPlane;
let directory: string;
let progress: string[];

beforeEach(async () => {
  server = await startFakeControlPlane();
  directory = await mkdtemp(join(tmpdir(), 'tm-apply-'));
  progress = [];
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function applyText(text: string, options: Partial<ApplyOptions> = {}) {
  const file = join(directory, 'manifest.yaml');
  await writeFile(file, text);
  return apply({ file, ...options });
}

async function apply(options: Partial<ApplyOptions> = {}) {
  server.calls.length = 0;
  progress = [];
  const onProgress = (line: string) => void progress.push(line);
  return applyFile({ file: SHOP, address: server.address, onProgress, ...options });
}

async function failureOf(applying: Promise<unknown>): Promise<unknown> {
  return applying.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** A manifest of one environment. */
function shop(environment: string): string {
  return `tenants:
  - tenant: acme
    services:
      - service: cart
        environments:
          - environment: production
${environment.replaceAll(/^/gm, '            ')}
`;
}

const methods = () => server.calls.map(({ method }) => method);
const stateOf = (version: string) => server.routes.get(`acme/cart/production/${version}`)?.state;

test('the example is applied in one change for each resource, and applied again changes nothing', async () => {
  const first = await apply();
  expect(first.unchanged).toBe(0);
  expect(first.changes).toBe(server.tenants.size + server.routes.size + server.policies.size);
  expect(server.routes.get('acme/catalog/production/1.4.1')?.state).toBe(RouteState.ROUTE_STATE_INACTIVE);
  expect(server.policies.get('acme/cart/production')).toMatchObject({ defaultVersion: 'v1' });
  expect(progress).toHaveLength(first.changes);
  expect(progress[0]).toMatch(/^tenant (acme|globex) created \(revision 1\)$/);

  expect(await apply()).toEqual({ changes: 0, unchanged: first.changes });
  expect(progress).toEqual([]);
  expect(methods().filter((method) => /Activate|Deactivate|Delete|Undelete/.test(method))).toEqual([]);
});

test('what the file does not mention is left alone', async () => {
  await apply();
  const before = new Map(server.routes);
  const text = shop('routes: [{ version: v9, endpoints: [{ url: "grpc://nine:1" }] }]');
  // Without a display name, the one that the tenant has is nobody's business here.
  expect(await applyText(text)).toEqual({ changes: 1, unchanged: 1 });
  expect([...server.routes.keys()].filter((name) => !before.has(name))).toEqual(['acme/cart/production/v9']);
  for (const [name, route] of before) expect(server.routes.get(name)).toEqual(route);
});

test('a display name that differs is changed, once', async () => {
  await apply();
  const text = 'tenants: [{ tenant: acme, display_name: Other }]';
  expect(await applyText(text)).toEqual({ changes: 1, unchanged: 0 });
  expect(server.tenants.get('acme')?.displayName).toBe('Other');
  expect(await applyText(text)).toEqual({ changes: 0, unchanged: 1 });
});

test('a route that the file switches off never answers, not even for a moment', async () => {
  await applyText(shop('routes: [{ version: v1, state: INACTIVE, endpoints: [{ url: "grpc://a:1" }] }]'));
  expect(progress).toEqual(['tenant acme created (revision 1)', 'route acme/cart/production/v1 created (revision 2)']);
  expect(stateOf('v1')).toBe(RouteState.ROUTE_STATE_INACTIVE);
});

test('a state that differs is changed after the endpoints are, and counts as a change of its own', async () => {
  await applyText(shop('routes: [{ version: v1, state: INACTIVE, endpoints: [{ url: "grpc://a:1" }] }]'));
  expect(stateOf('v1')).toBe(RouteState.ROUTE_STATE_INACTIVE);
  const active = shop('routes: [{ version: v1, endpoints: [{ url: "grpc://b:1" }] }]');
  expect(await applyText(active)).toEqual({ changes: 2, unchanged: 1 });
  expect(methods()).toEqual(['CreateTenant', 'CreateRoute', 'UpdateRoute', 'ActivateRoute']);
  expect(progress).toEqual([
    'route acme/cart/production/v1 updated (revision 3)',
    'route acme/cart/production/v1 activated (revision 4)',
  ]);
  expect(await applyText(active)).toEqual({ changes: 0, unchanged: 2 });
});

test('a version is switched off only after the policy has let go of it', async () => {
  const endpoints = 'endpoints: [{ url: "grpc://a:1" }]';
  await applyText(shop(`traffic_policy: { default_version: v1 }\nroutes: [{ version: v1, ${endpoints} }]`));
  const routes = `routes: [{ version: v1, state: INACTIVE, ${endpoints} }, { version: v2, ${endpoints} }]`;
  expect(await applyText(shop(`traffic_policy: { default_version: v2 }\n${routes}`))).toEqual({
    changes: 3,
    unchanged: 1,
  });
  expect(methods().filter((method) => method !== 'UpdateRoute')).toEqual([
    'CreateTenant',
    'CreateRoute',
    'CreateRoute',
    'SetTrafficPolicy',
    'BatchWriteRoutes',
  ]);
  expect(progress.at(-1)).toMatch(/^route acme\/cart\/production\/v1 deactivated \(revision \d+\)$/);
  expect(stateOf('v1')).toBe(RouteState.ROUTE_STATE_INACTIVE);
});

test('what a tenant switches off is one transaction: refused it changes nothing, forced it goes through', async () => {
  await applyText(manyRoutes(11));
  const off = manyRoutes(11, 'INACTIVE');
  const error = await failureOf(applyText(off));
  expect(error).toBeInstanceOf(ApplyError);
  expect((error as ApplyError).refused).toMatchObject([
    { resource: 'routes of acme', error: { reason: 'SHRINK_REFUSED' } },
  ]);
  expect(methods().filter((method) => method === 'BatchWriteRoutes')).toHaveLength(1);
  expect(progress).toEqual([]);
  expect(activeRoutes()).toBe(11);
  expect(await applyText(off, { force: true })).toEqual({ changes: 11, unchanged: 1 });
  expect(activeRoutes()).toBe(0);
  expect(await applyText(off)).toEqual({ changes: 0, unchanged: 12 });
  expect(methods()).not.toContain('BatchWriteRoutes');
});

test('more than fit in a transaction are not judged in parts: they are refused, or forced', async () => {
  await applyText(manyRoutes(1));
  const [route] = [...server.routes.values()] as [Route];
  const routes = Array.from({ length: 10_001 }, (_, index) => {
    const version = `v${index}`;
    server.routes.set(`acme/cart/production/${version}`, { ...route, key: { ...route.key!, version } });
    return server.routes.get(`acme/cart/production/${version}`)!;
  });
  using client = createClient({ address: server.address });
  server.calls.length = 0;
  for (const deactivation of deactivationsOf(routes, false)) {
    await expect(deactivateRoutes(client, deactivation)).rejects.toMatchObject({ reason: 'SHRINK_REFUSED' });
  }
  expect(methods()).toEqual([]);
  for (const deactivation of deactivationsOf(routes, true)) await deactivateRoutes(client, deactivation);
  expect(methods()).toEqual(['BatchWriteRoutes', 'BatchWriteRoutes']);
  expect(activeRoutes()).toBe(0);
});

test('a route that cannot be switched off is named, and those of another tenant are switched off all the same', async () => {
  const tenants = (state: string) =>
    `tenants:\n${['acme', 'globex'].map((tenant) => tenantOf(tenant, state)).join('\n')}`;
  await applyText(tenants('ACTIVE'));
  const deleted = server.routes.get('acme/cart/production/v1')!;
  server.intercept = ({ method }) => {
    if (method !== 'BatchWriteRoutes') return;
    server.routes.set('acme/cart/production/v1', { ...deleted, state: RouteState.ROUTE_STATE_DELETED });
  };
  const { refused } = (await failureOf(applyText(tenants('INACTIVE')))) as ApplyError;
  expect(refused).toMatchObject([{ resource: 'route acme/cart/production/v1', error: { reason: 'ROUTE_DELETED' } }]);
  expect(stateOf('v0')).toBe(RouteState.ROUTE_STATE_ACTIVE);
  expect(progress.toSorted()).toEqual([
    expect.stringMatching(/^route globex\/cart\/production\/v0 deactivated/),
    expect.stringMatching(/^route globex\/cart\/production\/v1 deactivated/),
  ]);
});

test('a deleted route comes back in one change, with the endpoints of the file', async () => {
  const text = shop('routes: [{ version: v1, endpoints: [{ url: "grpc://new:1" }] }]');
  await applyText(text);
  const name = 'acme/cart/production/v1';
  const { key } = server.routes.get(name)!;
  const endpoints = [{ url: 'grpc://old:1', zone: '', priority: 0, labels: {} }];
  server.routes.set(name, message(Route, { key, endpoints, state: RouteState.ROUTE_STATE_DELETED }));

  expect(await applyText(text)).toEqual({ changes: 1, unchanged: 1 });
  expect(methods()).toEqual(['CreateTenant', 'CreateRoute']);
  expect(server.routes.get(name)).toMatchObject({
    state: RouteState.ROUTE_STATE_ACTIVE,
    endpoints: [{ url: 'grpc://new:1' }],
  });
  expect(await applyText(text)).toEqual({ changes: 0, unchanged: 2 });
});

test('all that is refused is told at once, nothing that follows is tried, and the rest of the step is done', async () => {
  server.intercept = ({ method, request }) => {
    const key = (request as { route?: Route }).route?.key;
    if (method !== 'CreateRoute' || key?.service !== 'payments') return;
    const violations = [{ field: 'route.endpoints[0].url', description: 'is not a URL' }];
    throw new Refusal({
      code: status.INVALID_ARGUMENT,
      reason: 'INVALID_FIELDS',
      message: '1 field is wrong.',
      violations,
    });
  };
  const error = await failureOf(apply());
  expect(error).toBeInstanceOf(ApplyError);
  const { refused } = error as ApplyError;
  expect(refused.map(({ resource }) => resource).toSorted()).toEqual([
    'route acme/payments/production/v3',
    'route acme/payments/staging/v3',
  ]);
  expect(refused[0]?.error.fieldViolations).toEqual([{ field: 'route.endpoints[0].url', description: 'is not a URL' }]);
  expect(methods()).not.toContain('SetTrafficPolicy');

  server.intercept = () => undefined;
  const again = await apply();
  expect(again.unchanged).toBeGreaterThan(0);
  expect(await apply()).toMatchObject({ changes: 0 });
});

test('an outage stops the apply at once, with the error of the call', async () => {
  server.intercept = ({ method }) => {
    if (method !== 'CreateRoute') return;
    throw new Refusal({
      code: status.UNAVAILABLE,
      reason: 'DATABASE_UNAVAILABLE',
      message: 'Try again.',
      retryDelayMs: 200,
    });
  };
  const error = await failureOf(applyText(manyRoutes(200)));
  expect(error).toBeInstanceOf(TrafficManagerError);
  expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'DATABASE_UNAVAILABLE', retryDelayMs: 200 });
  expect(methods().length).toBeLessThanOrEqual(1 + cliLimits.applyInFlightMax);
});

test('a screenful of refusals is enough', async () => {
  server.intercept = ({ method }) => {
    if (method !== 'CreateRoute') return;
    throw new Refusal({ code: status.INVALID_ARGUMENT, reason: 'INVALID_FIELDS', message: 'No.' });
  };
  const error = await failureOf(applyText(manyRoutes(200)));
  expect((error as ApplyError).refused.length).toBeGreaterThanOrEqual(cliLimits.applyFailuresMax);
  expect(methods().length).toBeLessThan(1 + cliLimits.applyFailuresMax + cliLimits.applyInFlightMax);
});

test('routes go side by side, as many as the limit', async () => {
  let arrived = 0;
  const full = Promise.withResolvers<void>();
  server.intercept = async ({ method }) => {
    if (method !== 'CreateRoute') return;
    if (++arrived === cliLimits.applyInFlightMax) full.resolve();
    await full.promise;
  };
  expect(await applyText(manyRoutes(100))).toEqual({ changes: 101, unchanged: 0 });
  expect(server.inFlightPeak()).toBe(cliLimits.applyInFlightMax);
});

test('every call carries the actor and one correlation id', async () => {
  await apply({ actor: 'ci', correlationId: 'deploy-7' });
  for (const { metadata } of server.calls) {
    expect(metadata).toMatchObject({ 'x-actor': 'ci', 'x-correlation-id': 'deploy-7' });
  }
});

test('a file that is no manifest is refused before anything is sent', async () => {
  await expect(applyText('tenants: 1')).rejects.toThrow(/manifest\.yaml:1:10: tenants: must be a list/);
  expect(server.calls).toEqual([]);
});

test('a signal ends the apply', async () => {
  const controller = new AbortController();
  server.intercept = () => controller.abort();
  expect(await failureOf(apply({ signal: controller.signal }))).toMatchObject({ code: 'CANCELLED' });
});

function activeRoutes(): number {
  return [...server.routes.values()].filter(({ state }) => state === RouteState.ROUTE_STATE_ACTIVE).length;
}

/** Two routes of a tenant, as an entry of a manifest. */
function tenantOf(tenant: string, state: string): string {
  const route = (version: string) => `{ version: ${version}, state: ${state}, endpoints: [{ url: "grpc://a:1" }] }`;
  const environments = `[{ environment: production, routes: [${route('v0')}, ${route('v1')}] }]`;
  return `  - { tenant: ${tenant}, services: [{ service: cart, environments: ${environments} }] }`;
}

function manyRoutes(count: number, state = 'ACTIVE'): string {
  const routes = Array.from(
    { length: count },
    (_, index) => `  - { version: v${index}, state: ${state}, endpoints: [{ url: "grpc://a:1" }] }`,
  );
  return shop(`routes:\n${routes.join('\n')}`);
}

test('the example says what it is applied with', async () => {
  expect(await readFile(SHOP, 'utf8')).toContain('npm run cli -- apply -f deploy/examples/shop.yaml');
});
