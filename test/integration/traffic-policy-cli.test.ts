import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { runProgram } from '../../src/cli/program.ts';
import { startTestReplicas, type TestReplicas } from '../support/control-plane.ts';
import { makeScratchDirectory, type ScratchDirectory } from '../support/scratch-directory.ts';

/** `policies` of the command line against a real control plane, with the example as its data. */

const shop = new URL('../../deploy/examples/shop.yaml', import.meta.url).pathname;
const cart = 'acme/cart/production';

let replicas: TestReplicas;
let scratch: ScratchDirectory;

beforeAll(async () => {
  replicas = await startTestReplicas(inject('postgresUrl'), 1);
  scratch = await makeScratchDirectory();
  await result('apply', '-f', shop);
});
afterAll(async () => {
  await replicas[Symbol.asyncDispose]();
  await scratch[Symbol.asyncDispose]();
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
  const { address } = replicas.replicas[0]!;
  const code = await runProgram(args, {
    env: { TM_CONTROL_PLANE_ADDRESS: address, TM_SIDECAR_ADDRESS: address },
    stdout: into('out'),
    stderr: into('errors'),
    signal: new AbortController().signal,
    actor: 'ci',
    newCorrelationId: () => 'c-1',
  });
  return { code, ...written };
}

async function result(...args: string[]): Promise<Record<string, unknown>> {
  const { code, out, errors } = await run(...args);
  expect({ code, errors: code === 0 ? '' : errors }).toEqual({ code: 0, errors: '' });
  return JSON.parse(out) as Record<string, unknown>;
}

test('what get prints, set takes, in both formats, and nothing has changed', async () => {
  for (const format of ['json', 'yaml']) {
    const { out } = await run('policies', 'get', cart, '--output', format);
    const file = join(scratch.path, `cart.${format}`);
    await writeFile(file, out);
    expect(await result('policies', 'set', cart, '-f', file)).not.toHaveProperty('change');
  }
  expect(await result('apply', '-f', shop)).toMatchObject({ changes: 0 });
});

test('a policy is printed with the names of the proto', async () => {
  expect(await result('policies', 'get', cart)).toMatchObject({
    traffic_policy: {
      key: { tenant: 'acme', service: 'cart', environment: 'production' },
      rules: [
        { name: 'preview', attributes: [{ name: 'x-preview', exact: 'cart-v2' }], version: 'v2' },
        {
          name: 'employees',
          attributes: [
            { name: 'x-user-email', regex: '.+@acme\\.example' },
            { name: 'x-no-preview', present: false },
          ],
        },
        { name: 'old-app' },
        { name: 'prices', method: 'acme.cart.Cart/CalculatePrice', split: [{ weight: 50 }, { weight: 50 }] },
      ],
      timeout: '2s',
      per_try_timeout: '0.8s',
      retry: { codes: ['UNAVAILABLE', 'RESOURCE_EXHAUSTED'], backoff_base: '0.025s', budget_percent: 20 },
      load_balancing: 'LOAD_BALANCING_LEAST_PENDING',
      locality_preference: 'LOCALITY_PREFERENCE_SAME_ZONE',
      updated_by: 'ci',
    },
  });
  expect(await result('policies', 'get', 'acme/payments/production')).toMatchObject({
    traffic_policy: {
      circuit_breaker: { window: '10s', concurrent_max: 200 },
      outlier_ejection: { base_ejection_time: '30s' },
    },
  });
});

test('a policy is copied to another environment', async () => {
  const { out } = await run('policies', 'get', 'acme/payments/production', '--output', 'yaml');
  const file = join(scratch.path, 'payments.yaml');
  await writeFile(file, out);
  const copied = await result('policies', 'set', 'acme/payments/staging', '-f', file);
  expect(copied).toMatchObject({
    traffic_policy: { key: { environment: 'staging' }, timeout: '10s', circuit_breaker: { volume_min: 20 } },
    change: { action: 'CHANGE_ACTION_UPDATED' },
  });
});

test('a lookup tells the rule', async () => {
  const resolve = ['resolve', cart, '--strong', '--hash-key', 'u1'];
  expect(await result(...resolve, '--attribute', 'x-user-email=alice@acme.example')).toMatchObject({
    route: { key: { version: 'v2' } },
    selection_reason: 'SELECTION_REASON_MATCH_RULE',
    match_rule: 'employees',
  });
  expect(await result(...resolve, '--method', 'acme.cart.Cart/CalculatePrice')).toMatchObject({ match_rule: 'prices' });
  expect(await result(...resolve)).toMatchObject({ selection_reason: 'SELECTION_REASON_SPLIT', match_rule: '' });
});

test('policies are listed, of a tenant or of a service, in pages', async () => {
  const keysOf = ({ traffic_policies: policies }: Record<string, unknown>) =>
    (policies as { key: { service: string; environment: string } }[]).map(
      ({ key }) => `${key.service}/${key.environment}`,
    );
  const all = await result('policies', 'list', 'acme');
  expect(keysOf(all)).toEqual([
    'cart/production',
    'cart/staging',
    'catalog/production',
    'catalog/staging',
    'checkout/production',
    'payments/production',
    'payments/staging',
  ]);
  expect(keysOf(await result('policies', 'list', 'acme', '--service', 'catalog'))).toEqual([
    'catalog/production',
    'catalog/staging',
  ]);
  const first = await result('policies', 'list', 'acme', '--limit', '3');
  const token = String(first['next_page_token']);
  const rest = await result('policies', 'list', 'acme', '--limit', '3', '--page-token', token);
  expect([...keysOf(first), ...keysOf(rest)]).toEqual(keysOf(all).slice(0, 6));
});

test('a policy is deleted, once, and can be applied again', async () => {
  const key = 'globex/cart/production';
  expect(await result('policies', 'delete', key, '--validate-only')).toMatchObject({
    change: { action: 'CHANGE_ACTION_DELETED' },
  });
  const wrong = await run('policies', 'delete', key, '--etag', 'x');
  expect([wrong.code, wrong.errors]).toEqual([1, expect.stringMatching(/^error: ABORTED \(ETAG_MISMATCH\)/)]);
  expect(await result('policies', 'delete', key)).toMatchObject({
    change: { action: 'CHANGE_ACTION_DELETED', traffic_policy: { before: { default_version: 'v5' } } },
  });
  const again = await run('policies', 'delete', key);
  expect([again.code, again.errors]).toEqual([
    1,
    expect.stringMatching(/^error: NOT_FOUND \(TRAFFIC_POLICY_NOT_FOUND\)/),
  ]);
  await result('policies', 'set', key, '--default-version', 'v5');
});

test('a file that does not say a policy is refused before anything is sent', async () => {
  const file = join(scratch.path, 'wrong.yaml');
  await writeFile(file, 'traffic_policy:\n  timeout: soon\n');
  expect(await run('policies', 'set', cart, '-f', file)).toEqual({
    code: 1,
    out: '',
    errors: `error: ${file}:2:12: traffic_policy.timeout: must be a duration such as 250ms, 1.5s or 2m\n`,
  });
  expect((await run('policies', 'set', cart, '-f', join(scratch.path, 'none'))).errors).toMatch(/^error: ENOENT/);
  expect((await run('policies', 'set', cart, '-f', file, '--split', 'v1=1')).code).toBe(2);
});

test('what the server refuses is named as it stands in the file', async () => {
  const file = join(scratch.path, 'refused.yaml');
  await writeFile(
    file,
    `traffic_policy:
  default_version: v1
  rules:
    - { version: v1, attributes: [{ name: x, regex: '(a+)\\1' }] }
  timeout: 0.5ms
`,
  );
  const { code, errors } = await run('policies', 'set', cart, '-f', file);
  expect(code).toBe(1);
  expect(errors).toMatch(/^ {2}traffic_policy\.rules\[0\]\.attributes\[0\]\.regex: is not RE2 syntax: /m);
  expect(errors).toMatch(/^ {2}traffic_policy\.timeout: must be a whole number of milliseconds from 1 to 3600000$/m);
});
