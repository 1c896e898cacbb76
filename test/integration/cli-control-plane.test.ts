import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { runProgram } from '../../src/cli/program.ts';
import { readControlPlaneConfig } from '../../src/config.ts';
import { startControlPlane } from '../../src/control-plane.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { makeScratchDirectory } from '../support/scratch-directory.ts';

/** The command line against the real thing: what the fake of the other files cannot vouch for. */

const shop = new URL('../../deploy/examples/shop.yaml', import.meta.url).pathname;

let database: TestDatabase;
let controlPlane: Awaited<ReturnType<typeof startControlPlane>>;

beforeEach(async () => {
  database = await createDatabase(inject('postgresUrl'));
  const config = readControlPlaneConfig({ DATABASE_URL: database.url, TM_CONTROL_PLANE_ADDRESS: '127.0.0.1:0' });
  controlPlane = await startControlPlane(config, createLogger('control-plane', 'silent'));
});

afterEach(async () => {
  await controlPlane[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

async function run(...args: string[]) {
  const written = { out: '', errors: '' };
  const into = (name: keyof typeof written) =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        written[name] += chunk.toString();
        done();
      },
    });
  const { signal } = new AbortController();
  const env = { TM_CONTROL_PLANE_ADDRESS: controlPlane.address, TM_SIDECAR_ADDRESS: controlPlane.address };
  const terminal = {
    env,
    stdout: into('out'),
    stderr: into('errors'),
    signal,
    actor: 'ci',
    newCorrelationId: () => 'c-1',
  };
  const code = await runProgram(args, terminal);
  return { code, ...written };
}

async function result(...args: string[]): Promise<unknown> {
  const { code, out, errors } = await run(...args);
  expect({ code, errors: code === 0 ? '' : errors }).toEqual({ code: 0, errors: '' });
  return JSON.parse(out);
}

test('the example converges, from nothing and after a deletion', async () => {
  const first = (await result('apply', '-f', shop)) as { changes: number };
  // Nothing is written twice: not even the route that is switched off from the start.
  expect(first).toEqual({ changes: 26, unchanged: 0 });
  expect(await result('apply', '-f', shop)).toEqual({ changes: 0, unchanged: 26 });

  const route = 'acme/catalog/production/1.4.1';
  await result('routes', 'delete', route);
  expect(await result('apply', '-f', shop)).toEqual({ changes: 1, unchanged: 25 });
  expect(await result('routes', 'get', route)).toMatchObject({
    route: { state: 'ROUTE_STATE_INACTIVE', updated_by: 'ci' },
  });

  await result('routes', 'activate', route);
  await result('routes', 'deactivate', 'acme/checkout/production/canary');
  await result('policies', 'set', 'acme/cart/production', '--default-version', 'v2');
  expect(await result('apply', '-f', shop)).toEqual({ changes: 3, unchanged: 23 });
  expect(await result('apply', '-f', shop)).toEqual({ changes: 0, unchanged: 26 });
});

test('an apply that switches many routes off is refused, unless it is forced', async () => {
  await using directory = await makeScratchDirectory();
  const apply = async (active: number, ...options: string[]) => {
    const file = join(directory.path, 'manifest.yaml');
    await writeFile(file, versions(60, active));
    return run('apply', '-f', file, ...options);
  };
  const activeRoutes = async () => {
    const { routes } = (await result('routes', 'list', 'acme')) as { routes: { state: string }[] };
    return routes.filter(({ state }) => state === 'ROUTE_STATE_ACTIVE').length;
  };
  expect(await apply(60)).toMatchObject({ code: 0 });
  const { code, errors } = await apply(47);
  expect(code).toBe(1);
  expect(errors).toMatch(/^ {2}routes of acme: FAILED_PRECONDITION \(SHRINK_REFUSED\): .* 13 of 60 .* 12;/m);
  expect(errors).toMatch(/--force/);
  expect(await activeRoutes()).toBe(60);

  expect(await apply(48)).toMatchObject({ code: 0 });
  expect(await apply(0, '--force')).toMatchObject({ code: 0 });
  expect(await activeRoutes()).toBe(0);
});

/** A manifest of one service's versions: the first `active` answer, the others are switched off. */
function versions(count: number, active: number): string {
  const routes = Array.from({ length: count }, (_unused, index) => {
    const state = index < active ? 'ACTIVE' : 'INACTIVE';
    return { version: `v${index}`, state, endpoints: [{ url: 'grpc://a:1' }] };
  });
  const services = [{ service: 'cart', environments: [{ environment: 'production', routes }] }];
  return JSON.stringify({ tenants: [{ tenant: 'acme', services }] });
}

test('lookups answer what was applied', async () => {
  await result('apply', '-f', shop);
  expect(await result('resolve', 'acme/cart/production', '--strong', '--hash-key', 'u1')).toMatchObject({
    route: { key: { tenant: 'acme', service: 'cart', environment: 'production' }, state: 'ROUTE_STATE_ACTIVE' },
    selection_reason: 'SELECTION_REASON_SPLIT',
    freshness: { staleness_ms: 0, stale: false },
  });
  const inactive = await run('resolve', 'acme/catalog/production/1.4.1', '--strong');
  expect(inactive.code).toBe(1);
  expect(inactive.errors).toMatch(/^error: NOT_FOUND \(ROUTE_INACTIVE\): .*\n {2}correlation id: c-1\n$/);
});

test('all wrong fields of a route are named', async () => {
  await result('apply', '-f', shop);
  const create = [
    'routes',
    'create',
    'acme/cart/production/v3',
    '--endpoint',
    'foo',
    '--endpoint',
    'grpc://a:1,weight=99999',
  ];
  const { code, errors } = await run(...create);
  expect(code).toBe(1);
  expect(errors).toMatch(/^error: INVALID_ARGUMENT \(INVALID_FIELDS\): /);
  expect(errors).toMatch(/^ {2}route\.endpoints\[0\]\.url: /m);
  expect(errors).toMatch(/^ {2}route\.endpoints\[1\]\.weight: /m);
});

test('a list goes through its pages, and resumes', async () => {
  await result('apply', '-f', shop);
  const all = (await result('routes', 'list', 'acme')) as { routes: unknown[]; next_page_token: string };
  const two = (await result('routes', 'list', 'acme', '--limit', '2')) as typeof all;
  const more = (await result(
    'routes',
    'list',
    'acme',
    '--limit',
    '2',
    '--page-token',
    two.next_page_token,
  )) as typeof all;
  expect([...two.routes, ...more.routes]).toEqual(all.routes.slice(0, 4));
});

test('a label of any name goes in and comes out', async () => {
  await result('apply', '-f', shop);
  const route =
    '{"key": {"tenant": "acme", "service": "cart", "environment": "odd", "version": "v1"}, "labels": {"__proto__": "x"}';
  const endpoints = '"endpoints": [{"url": "grpc://a:1", "labels": {"__proto__": "y"}}]';
  await result('call', 'RouteService/CreateRoute', `{"route": ${route}, ${endpoints}}}`);
  const { out } = await run('routes', 'get', 'acme/cart/odd/v1', '--output', 'yaml');
  expect(out).toMatch(/__proto__: x/);
  expect(out).toMatch(/__proto__: y/);
});

test('call and the commands agree', async () => {
  await result('apply', '-f', shop);
  const key = { tenant: 'acme', service: 'cart', environment: 'production' };
  expect(await result('call', 'TrafficPolicyService/GetTrafficPolicy', JSON.stringify({ key }))).toEqual(
    await result('policies', 'get', 'acme/cart/production'),
  );
  expect(
    await result(
      'call',
      'ResolverService/BatchResolve',
      JSON.stringify({ requests: [{ key: { ...key, service: 'no' } }] }),
    ),
  ).toMatchObject({
    results: [
      {
        error: {
          code: 5,
          details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'ROUTE_NOT_FOUND' }],
        },
      },
    ],
  });
});
