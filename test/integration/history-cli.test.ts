import { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { runProgram } from '../../src/cli/program.ts';
import { startTestReplicas, type TestReplicas } from '../support/control-plane.ts';

describe('the command line on the past', () => {
  let replicas: TestReplicas;
  let address: string;

  beforeAll(async () => {
    replicas = await startTestReplicas(inject('postgresUrl'), 1);
    address = replicas.replicas[0]?.address ?? '';
    await result('tenants', 'create', 'acme');
    await result(
      'routes',
      'create',
      key,
      '--endpoint',
      'grpc://cart:1',
      '--actor',
      'alice',
      '--correlation-id',
      'deploy',
    );
    await result('routes', 'create', 'acme/shop/staging/v2', '--endpoint', 'grpc://shop:1');
    await result('routes', 'deactivate', key, '--actor', 'bob');
  });
  afterAll(async () => await replicas[Symbol.asyncDispose]());

  const key = 'acme/cart/production/v1';

  async function run(args: readonly string[]) {
    const written = { out: '', errors: '' };
    const into = (name: keyof typeof written) =>
      new Writable({
        write: (chunk: Buffer, _encoding, done) => {
          written[name] += chunk.toString();
          done();
        },
      });
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

  async function result(...args: string[]): Promise<unknown> {
    const { code, out, errors } = await run(args);
    expect({ code, errors: code === 0 ? '' : errors }).toEqual({ code: 0, errors: '' });
    return JSON.parse(out);
  }

  async function revisions(...args: string[]): Promise<string[]> {
    const { changes } = (await result('changes', 'list', 'acme', ...args)) as { changes: { revision: string }[] };
    return changes.map((change) => String(change.revision));
  }

  test.for<{ args: string[]; found: string[] }>([
    { args: [], found: ['4', '3', '2', '1'] },
    { args: ['--oldest-first'], found: ['1', '2', '3', '4'] },
    { args: ['--service', 'cart'], found: ['4', '2'] },
    { args: ['--environment', 'staging'], found: ['3'] },
    { args: ['--version', 'v1'], found: ['4', '2'] },
    { args: ['--action', 'DEACTIVATED'], found: ['4'] },
    { args: ['--action', 'DEACTIVATED', 'CREATED', '--service', 'cart'], found: ['4', '2'] },
    { args: ['--by-actor', 'alice'], found: ['2'] },
    // Who asks is another matter than whom the list is about.
    { args: ['--by-actor', 'bob', '--actor', 'alice'], found: ['4'] },
    { args: ['--by-correlation-id', 'deploy'], found: ['2'] },
    { args: ['--revision-min', '2', '--revision-max', '3'], found: ['3', '2'] },
    { args: ['--start-time', '1h'], found: ['4', '3', '2', '1'] },
    { args: ['--end-time', '1h'], found: [] },
    { args: ['--start-time', '2020-01-01T00:00:00+01:00', '--end-time', '2020-01-02T00:00Z'], found: [] },
    { args: ['--limit', '1'], found: ['4'] },
  ])('changes list $args', async ({ args, found }) => {
    expect(await revisions(...args)).toEqual(found);
  });

  test('a list that was stopped goes on with its token', async () => {
    const first = (await result('changes', 'list', 'acme', '--limit', '3')) as { next_page_token: string };
    expect(await revisions('--limit', '3', '--page-token', first.next_page_token)).toEqual(['1']);
  });

  test('routes and lookups are shown as they were', async () => {
    const list = async (...args: string[]): Promise<unknown> =>
      ((await result('routes', 'list', 'acme', ...args)) as { routes: { state: string }[] }).routes.map(
        ({ state }) => state,
      );
    expect(await list('--at-revision', '1')).toEqual([]);
    expect(await list('--at-revision', '2')).toEqual(['ROUTE_STATE_ACTIVE']);
    expect(await list('--at-time', new Date().toISOString())).toEqual(['ROUTE_STATE_INACTIVE', 'ROUTE_STATE_ACTIVE']);
    expect(await result('resolve', key, '--at-revision', '3')).toMatchObject({
      freshness: { source: 'FRESHNESS_SOURCE_HISTORY', revision: 3 },
    });
    const { code, errors } = await run(['resolve', key, '--at-time', '1h']);
    expect(code).toBe(1);
    expect(errors).toContain('there is no tenant acme');
  });

  test.for([
    ['routes', 'list', 'acme', '--at-time', 'yesterday'],
    ['routes', 'list', 'acme', '--at-time', '2026-01-01T00:00:00'],
    ['routes', 'list', 'acme', '--at-time', '2026-13-01T00:00:00Z'],
    ['resolve', key, '--at-revision', '-1'],
    ['resolve', key, '--at-revision', '1', '--at-time', '1h'],
    ['changes', 'list', 'acme', '--action', 'BROKEN'],
    ['changes', 'list', 'acme', '--start-time', '1 hour'],
  ])('%s is a mistake that is told', async (args) => {
    const { code, out, errors } = await run(args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(errors).toContain('error:');
  });
});
