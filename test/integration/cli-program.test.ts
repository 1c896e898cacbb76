import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parse } from 'yaml';
import { runProgram } from '../../src/cli/program.ts';
import type { WatchResponse } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import { startFakeControlPlane, type FakeControlPlane } from './cli-fake-control-plane.ts';
import { Refusal } from './cli-refusal.ts';

const SHOP = new URL('../../deploy/examples/shop.yaml', import.meta.url).pathname;
const MAIN = new URL('../../src/cli/main.ts', import.meta.url).pathname;
const NOWHERE = '127.0.0.1:1';

let server: FakeControlPlane;

beforeEach(async () => {
  server = await startFakeControlPlane();
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
});

class Sink extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** Runs a command line against the server, which is the control plane only: for everything else `--sidecar` is asked. */
async function run(args: string[], env: Record<string, string> = { TM_CONTROL_PLANE_ADDRESS: server.address }) {
  const [stdout, stderr] = [new Sink(), new Sink()];
  const { signal } = new AbortController();
  const newCorrelationId = () => 'cli-1';
  const code = await runProgram(args, { env, stdout, stderr, signal, actor: 'tester', newCorrelationId });
  return { code, out: stdout.text, errors: stderr.text };
}

/** The one JSON result of a command that worked. */
async function result(...args: string[]): Promise<unknown> {
  const { code, out, errors } = await run(args);
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
  return JSON.parse(out);
}

async function applyShop(): Promise<void> {
  expect(await run(['apply', '-f', SHOP])).toMatchObject({ code: 0 });
}

test('apply prints what it did on stdout and its progress on stderr', async () => {
  const first = await run(['apply', '-f', SHOP]);
  expect(first.code).toBe(0);
  expect(first.errors).toContain('policy acme/cart/production created (revision ');
  const { changes } = JSON.parse(first.out) as { changes: number };
  expect(await result('apply', '-f', SHOP)).toEqual({ changes: 0, unchanged: changes });
});

test('a token that the environment leaves empty is none, and one is read as servers read theirs', async () => {
  const env = { TM_CONTROL_PLANE_ADDRESS: server.address };
  expect(await run(['apply', '-f', SHOP], { ...env, TM_ADMIN_TOKEN: '' })).toMatchObject({ code: 0 });
  expect(server.calls.at(-1)?.metadata).not.toHaveProperty('authorization');
  expect(await run(['apply', '-f', SHOP], { ...env, TM_ADMIN_TOKEN: ' secret\n' })).toMatchObject({ code: 0 });
  expect(server.calls.at(-1)?.metadata).toMatchObject({ authorization: 'Bearer secret' });
});

test('what the server refuses is named, each with its violations', async () => {
  server.intercept = ({ method }) => {
    if (method !== 'CreateTenant') return;
    const violations = [{ field: 'tenant.tenant', description: 'is reserved' }];
    throw new Refusal({ code: status.INVALID_ARGUMENT, reason: 'INVALID_FIELDS', message: 'Wrong.', violations });
  };
  const { code, errors } = await run(['apply', '-f', SHOP]);
  expect(code).toBe(1);
  expect(errors.split('\n')).toEqual([
    "error: 2 of the file's resources were refused; what went before them is applied.",
    '  tenant acme: INVALID_ARGUMENT (INVALID_FIELDS): Wrong.',
    '    tenant.tenant: is reserved',
    '  tenant globex: INVALID_ARGUMENT (INVALID_FIELDS): Wrong.',
    '    tenant.tenant: is reserved',
    '  correlation id: cli-1',
    '',
  ]);
});

test('tenants are created and listed', async () => {
  expect(await result('tenants', 'create', 'acme', '--display-name', 'Acme')).toMatchObject({
    tenant: { tenant: 'acme', display_name: 'Acme', revision: 1 },
    change: { action: 'CHANGE_ACTION_CREATED', revision: 1 },
  });
  expect(await result('tenants', 'list')).toEqual({
    tenants: [{ tenant: 'acme', display_name: 'Acme', state: 'TENANT_STATE_ACTIVE', etag: '', revision: 1 }],
    next_page_token: '',
  });
});

test('a route is created, read, switched, deleted and brought back', async () => {
  await result('tenants', 'create', 'acme');
  const key = 'acme/cart/production/v1';
  const created = await result(
    ...`routes create ${key} --endpoint grpc://a:1,weight=3,zone=z1 --endpoint grpc://b:1`.split(' '),
    ...'--label team=basket --inactive --request-id r-1'.split(' '),
  );
  expect(created).toMatchObject({
    route: {
      key: { tenant: 'acme', service: 'cart', environment: 'production', version: 'v1' },
      endpoints: [{ url: 'grpc://a:1', weight: 3, zone: 'z1' }, { url: 'grpc://b:1' }],
      state: 'ROUTE_STATE_INACTIVE',
      labels: { team: 'basket' },
    },
    change: { action: 'CHANGE_ACTION_CREATED' },
  });
  expect(server.calls.at(-1)?.request).toMatchObject({ requestId: 'r-1', validateOnly: false });
  for (const [name, state] of [
    ['activate', 'ROUTE_STATE_ACTIVE'],
    ['deactivate', 'ROUTE_STATE_INACTIVE'],
    ['delete', 'ROUTE_STATE_DELETED'],
    ['undelete', 'ROUTE_STATE_ACTIVE'],
  ] as const) {
    expect(await result('routes', name, key, '--etag', 'e', '--validate-only')).toMatchObject({ route: { state } });
    expect(server.calls.at(-1)?.request).toMatchObject({ etag: 'e', validateOnly: true });
  }
  expect(await result('routes', 'get', key)).toMatchObject({ route: { state: 'ROUTE_STATE_ACTIVE' } });
});

test('a list follows its pages up to the limit, and then says where to go on', async () => {
  await applyShop();
  const total = [...server.routes.keys()].filter((name) => name.startsWith('acme/')).length;
  const all = (await result('routes', 'list', 'acme')) as { routes: unknown[]; next_page_token: string };
  expect([all.routes.length, all.next_page_token]).toEqual([total, '']);
  const some = (await result('routes', 'list', 'acme', '--limit', '2')) as typeof all;
  expect([some.routes.length, some.next_page_token]).toEqual([2, '2']);
  const rest = await result('routes', 'list', 'acme', '--limit', '2', '--page-token', '2');
  expect(rest).toMatchObject({ routes: all.routes.slice(2, 4) });
  await result('routes', 'list', 'acme', '--state', 'DELETED', '--show-deleted', '--service', 'cart');
  expect(server.calls.at(-1)?.request).toMatchObject({ state: 3, showDeleted: true, service: 'cart', environment: '' });
});

test('a policy is set whole', async () => {
  await applyShop();
  const set = [
    'policies',
    'set',
    'acme/cart/production',
    '--default-version',
    'v2',
    '--split',
    'v1=50',
    '--split',
    'v2=50',
  ];
  expect(await result(...set)).toMatchObject({
    traffic_policy: {
      default_version: 'v2',
      split: [
        { version: 'v1', weight: 50 },
        { version: 'v2', weight: 50 },
      ],
    },
    change: { action: 'CHANGE_ACTION_UPDATED', traffic_policy: { before: { default_version: 'v1' } } },
  });
});

test('resolve asks the sidecar, with the consistency that is asked for', async () => {
  await applyShop();
  const resolve = ['resolve', 'acme/cart/production', '--sidecar', server.address];
  expect(await result(...resolve, '--hash-key', 'u1', '--attribute', 'a=1', '--attribute', 'b=2')).toMatchObject({
    route: { key: { version: 'v1' }, state: 'ROUTE_STATE_ACTIVE' },
    traffic_policy: { split: [{ weight: 90 }, { weight: 10 }] },
    selection_reason: 'SELECTION_REASON_DEFAULT_VERSION',
    freshness: { source: 'FRESHNESS_SOURCE_SNAPSHOT', staleness_ms: 0, stale: false },
  });
  expect(server.calls.at(-1)?.request).toMatchObject({ hashKey: 'u1', attributes: { a: '1', b: '2' } });
  for (const [args, requirement] of [
    [[], undefined],
    [['--max-staleness', '1.5s'], { $case: 'maxStaleness', value: { seconds: 1n, nanos: 500_000_000 } }],
    [['--min-revision', '9'], { $case: 'minRevision', value: 9n }],
    [['--strong'], { $case: 'strong', value: true }],
  ] as const) {
    await result(...resolve, ...args);
    const consistency = requirement === undefined ? undefined : { requirement };
    expect(server.calls.at(-1)?.request).toMatchObject({ consistency });
  }
});

test('of two addresses the one on the command line wins, then the environment, then the default of the role', async () => {
  await applyShop();
  const resolve = ['resolve', 'acme/cart/production'];
  const asked = async (args: string[], env: Record<string, string>) => (await run([...resolve, ...args], env)).code;
  expect(await asked([], { TM_SIDECAR_ADDRESS: server.address, TM_CONTROL_PLANE_ADDRESS: NOWHERE })).toBe(0);
  expect(await asked([], { TM_SIDECAR_ADDRESS: NOWHERE, TM_CONTROL_PLANE_ADDRESS: server.address })).toBe(1);
  expect(await asked(['--sidecar', server.address], { TM_SIDECAR_ADDRESS: NOWHERE })).toBe(0);
  expect(await asked(['--address', server.address], { TM_SIDECAR_ADDRESS: NOWHERE })).toBe(0);
  expect(await asked(['--address', NOWHERE, '--sidecar', server.address], {})).toBe(0);
});

test('actor, correlation id and timeout go with the call', async () => {
  await result('tenants', 'list');
  await result('--actor', 'alice', 'tenants', 'list', '--correlation-id', 'c-9', '--timeout', '1h');
  expect(server.calls.map(({ metadata }) => [metadata['x-actor'], metadata['x-correlation-id']])).toEqual([
    ['tester', 'cli-1'],
    ['alice', 'c-9'],
  ]);
  const [short, long] = server.calls.map(({ deadline }) => Number(deadline));
  expect(long! - short!).toBeGreaterThan(3_000_000);
});

test('a failed call is a line, its violations, the hint and the correlation id; exit code 1', async () => {
  server.intercept = () => {
    throw new Refusal({
      code: status.INVALID_ARGUMENT,
      reason: 'INVALID_FIELDS',
      message: '1 field is wrong.',
      violations: [{ field: 'key.tenant', description: 'must be a name' }],
      retryDelayMs: 200,
    });
  };
  expect(await run(['routes', 'get', 'A/b/c/d'])).toEqual({
    code: 1,
    out: '',
    errors: [
      'error: INVALID_ARGUMENT (INVALID_FIELDS): 1 field is wrong.',
      '  key.tenant: must be a name',
      '  retry after: 200 ms',
      '  correlation id: cli-1',
      '',
    ].join('\n'),
  });
});

test('no server, no file: exit code 1', async () => {
  const unreachable = await run(['tenants', 'list', '--address', NOWHERE]);
  expect(unreachable.code).toBe(1);
  expect(unreachable.errors).toMatch(/^error: UNAVAILABLE: .*127\.0\.0\.1:1/);
  const missing = await run(['apply', '-f', '/no/such/file.yaml']);
  expect(missing).toMatchObject({
    code: 1,
    errors: "error: ENOENT: no such file or directory, open '/no/such/file.yaml'\n",
  });
});

test.each([
  [['frobnicate'], /unknown command 'frobnicate'/],
  [['routes', 'get', 'acme/cart'], /It must be TENANT\/SERVICE\/ENVIRONMENT\/VERSION\./],
  [['routes', 'create', 'a/b/c/d'], /required option '--endpoint <endpoint>' not specified/],
  [['routes', 'list', 'acme', '--state', 'ON'], /Allowed choices are ACTIVE, INACTIVE, DELETED/],
  [['routes', 'list', 'acme', '--limit', '0'], /It must be 1 or more/],
  [['resolve', 'a/b/c', '--strong', '--min-revision', '1'], /cannot be used with option '--strong'/],
  [['resolve', 'a/b/c', '--max-staleness', '5'], /It must be a duration such as/],
  [['tenants', 'list', '--address', 'nowhere'], /must be host:port, grpc:\/\/host:port or unix:\/path/],
  [['apply'], /required option '-f, --file <file>' not specified/],
  [['call', 'RouteServce/GetRoute'], /unknown method "RouteServce\/GetRoute"; did you mean "RouteService\/GetRoute"\?/],
  [['call', 'RouteService/GetRoute', '{'], /the request is not JSON/],
  [
    ['call', 'RouteService/GetRoute', '{"kee":{}}'],
    /the request does not fit: unknown field "kee"; did you mean "key"\?/,
  ],
  [['call', 'RouteService/GetRoute', '[{},{}]'], /takes one request/],
])('%j is a mistake of the command line: exit code 2', async (args, message) => {
  const { code, out, errors } = await run(args);
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(errors).toMatch(message);
  expect(server.calls).toEqual([]);
});

test('help is no error', async () => {
  const { code, out, errors } = await run(['routes', '--help']);
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
  expect(out).toContain('undelete');
});

test('yaml is the same result in other clothes', async () => {
  await applyShop();
  const args = ['routes', 'get', 'acme/cart/production/v1'];
  const { out } = await run([...args, '--output', 'yaml']);
  expect(parse(out)).toEqual(await result(...args));
});

test('call reaches any method, and answers like the command for it', async () => {
  await applyShop();
  const key = { tenant: 'acme', service: 'cart', environment: 'production', version: 'v1' };
  const called = await result('call', 'RouteService/GetRoute', JSON.stringify({ key }));
  expect(called).toEqual(await result('routes', 'get', 'acme/cart/production/v1'));
  expect(await result('call', 'trafficmanager.v1.TenantService/ListTenants')).toMatchObject({ next_page_token: '' });
});

test('call prints a JSON line for each answer of a stream', async () => {
  await applyShop();
  const lookup = '{"requests":[{"key":{"tenant":"acme","service":"cart","environment":"production"}}]}';
  const streamed = await run(['call', 'ResolverService/StreamResolve', `[${lookup},${lookup}]`]);
  const lines = streamed.out.trim().split('\n');
  expect(lines).toHaveLength(2);
  for (const line of lines) {
    expect(JSON.parse(line)).toMatchObject({ results: [{ response: { route: { key: { version: 'v1' } } } }] });
  }
  server.watch = async (call) => {
    call.write(progress(1n));
    call.end();
  };
  const watched = await run(['call', 'WatchService/Watch', '{"tenant":"acme"}']);
  expect(JSON.parse(watched.out)).toEqual({ revision: 1, commit_id: 'c', progress: {}, staleness_ms: 0 });
});

test('watch prints a JSON line for each message until Ctrl-C, which is a good end', async () => {
  const controller = new AbortController();
  server.watch = async (call) => {
    call.write(progress(7n));
    call.write(progress(8n));
    await once(call, 'cancelled');
  };
  const [stdout, stderr] = [new Sink(), new Sink()];
  stdout._write = (chunk: Buffer, _encoding, done) => {
    stdout.text += chunk.toString();
    if (stdout.text.split('\n').length === 3) controller.abort();
    done();
  };
  const args = [
    'watch',
    'acme',
    '--sidecar',
    server.address,
    '--after-revision',
    '6',
    '--service',
    'cart',
    '--service',
    'pay',
  ];
  const terminal = { env: {}, stdout, stderr, signal: controller.signal, actor: 't', newCorrelationId: () => 'c' };
  expect(await runProgram([...args, '--progress-interval', '1s', '--every-change'], terminal)).toBe(0);
  expect(stdout.text).toBe(
    '{"revision":7,"commit_id":"c","progress":{},"staleness_ms":0}\n{"revision":8,"commit_id":"c","progress":{},"staleness_ms":0}\n',
  );
  expect(server.calls[0]?.request).toMatchObject({
    tenant: 'acme',
    services: ['cart', 'pay'],
    environments: [],
    afterRevision: 6n,
    progressInterval: { seconds: 1n, nanos: 0 },
    everyChange: true,
  });
});

test('a watch that the server ends with an error fails', async () => {
  server.watch = async (call) => {
    call.emit('error', { code: status.OUT_OF_RANGE, details: 'Compacted.' });
  };
  expect(await run(['watch', 'acme', '--sidecar', server.address])).toEqual({
    code: 1,
    out: '',
    errors: 'error: OUT_OF_RANGE: Compacted.\n  correlation id: cli-1\n',
  });
});

/** The program as a process of its own, watching. */
function spawnWatch() {
  const child = spawn(process.execPath, [MAIN, 'watch', 'acme', '--sidecar', server.address], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const errors = new Sink();
  child.stderr.pipe(errors);
  return { child, errors, lines: createInterface(child.stdout)[Symbol.asyncIterator]() };
}

test('the process ends with 0 after Ctrl-C during a watch', async () => {
  server.watch = async (call) => {
    call.write(progress(7n));
  };
  const { child, errors, lines } = spawnWatch();
  expect((await lines.next()).value).toContain('"revision":7');
  const exited = once(child, 'exit');
  child.kill('SIGINT');
  expect(await exited).toEqual([0, null]);
  expect(errors.text).toBe('');
});

test('the process ends quietly when nobody reads any more', async () => {
  server.watch = async (call) => {
    for (let revision = 1n; !call.cancelled && !call.destroyed; revision++) {
      if (!call.write(progress(revision))) await once(call, 'drain');
    }
  };
  const { child, errors, lines } = spawnWatch();
  await lines.next();
  const exited = once(child, 'exit');
  child.stdout.destroy();
  expect(await exited).toEqual([0, null]);
  expect(errors.text).toBe('');
});

function progress(revision: bigint): WatchResponse {
  return { revision, commitId: 'c', event: { $case: 'progress', value: {} }, stalenessMs: 0n };
}
