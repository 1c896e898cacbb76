import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { findFreePort } from '../../deploy/embedded/listen-address.ts';
import { runProgram } from '../../src/cli/program.ts';
import { message, ResolveRequest, VersionLookups } from '../../src/client/index.ts';
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts';
import { createDatabase } from '../support/postgres.ts';
import { keyOf, putPolicy, putRoute, putTenant, startTestSidecar, type TestSidecar } from '../support/sidecar.ts';

/** Never, as far as a test is concerned: only what is sent at the end. */
const neverMs = 3_600_000;

let started: AsyncDisposableStack;
let databaseUrl: string;
let controlPlane: TestControlPlane;
beforeEach(async () => {
  started = new AsyncDisposableStack();
  databaseUrl = started.use(await createDatabase(inject('postgresUrl'))).url;
  controlPlane = started.use(await startTestControlPlane(databaseUrl));
  await putTenant(controlPlane.client);
  await putRoute(controlPlane.client, { service: 'search', version: 'v1' });
  await putRoute(controlPlane.client, { version: 'v1' });
  await putRoute(controlPlane.client, { version: 'v2' });
});
afterEach(async () => await started.disposeAsync());

async function startSidecar(usageReportIntervalMs: number): Promise<TestSidecar> {
  const scope = { tenants: ['acme'], onDemand: true, services: new Set(['cart']) };
  return started.use(
    await startTestSidecar({ source: `grpc://${controlPlane.address}`, scope, usageReportIntervalMs }),
  );
}

/** What the control plane says, as `service/version` and how often. */
async function told(from = controlPlane): Promise<Record<string, number>> {
  const { usages } = await from.client.usage.listUsage({ tenant: 'acme' });
  return Object.fromEntries(usages.map(({ service, version, lookups }) => [`${service}/${version}`, Number(lookups)]));
}

async function untilTold(expected: Record<string, number>, from = controlPlane): Promise<void> {
  for (;;) {
    const now = await told(from);
    if (Object.entries(expected).every(([name, lookups]) => (now[name] ?? 0) >= lookups)) break;
  }
  expect(await told(from)).toEqual(expected);
}

/** The JSON that a command line prints. */
async function run(...args: string[]): Promise<unknown> {
  const written = { out: '', errors: '' };
  const into = (name: keyof typeof written): Writable =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        written[name] += chunk.toString();
        done();
      },
    });
  const code = await runProgram(args, {
    env: { TM_CONTROL_PLANE_ADDRESS: controlPlane.address },
    stdout: into('out'),
    stderr: into('errors'),
    signal: new AbortController().signal,
    actor: 'ci',
    newCorrelationId: () => 'c-1',
  });
  expect({ code, errors: code === 0 ? '' : written.errors }).toEqual({ code: 0, errors: '' });
  return JSON.parse(written.out);
}

describe('usage', () => {
  test('of versions that a sidecar answered, from memory or not, is listed by the control plane and the command line', async () => {
    await putPolicy(controlPlane.client, {}, { defaultVersion: 'v2' });
    const sidecar = await startSidecar(100);
    await sidecar.untilResolved({}, ({ route }) => route?.key?.version === 'v2');
    await untilTold({ 'cart/v2': 1 });
    for (let lookups = 0; lookups < 3; lookups++) await sidecar.resolve({ version: 'v1' });
    await sidecar.resolve({});
    const [v1, v2] = ['v1', 'v2'].map((version) => message(ResolveRequest, { key: keyOf({ version }) }));
    if (v1 === undefined || v2 === undefined) throw new Error('there are two');
    await sidecar.client.resolver.batchResolve({ requests: [v1, v2, v1] });
    // What memory does not hold, and what it may not answer.
    await sidecar.resolve({ service: 'search', version: 'v1' });
    await sidecar.resolve({ version: 'v1' }, { consistency: { $case: 'strong', value: true } });
    // These were not answered, or are about the past.
    await sidecar.resolve({ version: 'v9' }).catch(() => undefined);
    await sidecar.resolve({ tenant: 'nobody', version: 'v1' }).catch(() => undefined);
    await sidecar.client.resolver.resolve({
      key: keyOf({ version: 'v1' }),
      at: { $case: 'atRevision', value: 4n },
    });
    await untilTold({ 'cart/v1': 6, 'cart/v2': 3, 'search/v1': 1 });

    const search = { service: 'search', environment: 'production', version: 'v1', lookups: 1 };
    expect(await run('usage', 'list', 'acme', '--service', 'search')).toMatchObject({ usages: [search] });
    expect(await run('usage', 'list', 'acme', '--version', 'v2', '--start-time', '1h')).toMatchObject({
      usages: [
        { service: 'cart', lookups: 3, last_lookup_time: expect.stringMatching(/T\d\d:00:00(\.000)?Z$/) as string },
      ],
    });
    expect(await run('usage', 'list', 'acme', '--environment', 'staging')).toMatchObject({ usages: [] });
    const first = (await run('usage', 'list', 'acme', '--limit', '2')) as { next_page_token: string };
    expect(await run('usage', 'list', 'acme', '--limit', '2', '--page-token', first.next_page_token)).toMatchObject({
      usages: [search],
      next_page_token: '',
    });
    await expect(controlPlane.client.usage.listUsage({ tenant: 'nobody' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      reason: 'TENANT_NOT_FOUND',
    });
  });

  test('that was not reported yet is reported when the sidecar stops', async () => {
    const sidecar = await startSidecar(neverMs);
    await sidecar.untilResolved({ version: 'v1' }, ({ freshness }) => freshness !== undefined);
    await sidecar.resolve({ version: 'v1' });
    expect(await told()).toEqual({});
    await sidecar[Symbol.asyncDispose]();
    expect(await told()).toEqual({ 'cart/v1': 2 });
  });

  test('is kept while the control plane is away, and reported when it is back', async () => {
    const address = `127.0.0.1:${await findFreePort()}`;
    const before = started.use(await startTestControlPlane(databaseUrl, { address }));
    const sidecar = started.use(
      await startTestSidecar({
        source: `grpc://${address}`,
        scope: { tenants: ['acme'], onDemand: false },
        usageReportIntervalMs: 100,
      }),
    );
    await sidecar.untilResolved({ version: 'v1' }, ({ freshness }) => freshness !== undefined);
    await untilTold({ 'cart/v1': 1 });
    await before.stop();
    for (let lookups = 0; lookups < 5; lookups++) await sidecar.resolve({ version: 'v1' });
    expect(await told()).toEqual({ 'cart/v1': 1 });
    started.use(await startTestControlPlane(databaseUrl, { address }));
    await untilTold({ 'cart/v1': 6 });
  });

  test('is neither counted nor reported when that is switched off', async () => {
    const sidecar = await startSidecar(0);
    await sidecar.untilResolved({ version: 'v1' }, ({ freshness }) => freshness !== undefined);
    await sidecar[Symbol.asyncDispose]();
    expect(await told()).toEqual({});
  });

  test('that is reported twice counts once, and of what never existed not at all', async () => {
    const of = (fields: Partial<VersionLookups>): VersionLookups =>
      message(VersionLookups, { ...keyOf({ version: 'v1' }), lookups: 3n, ...fields });
    const report = {
      sidecarId: 'one',
      sequence: 1n,
      versions: [of({}), of({ tenant: 'nobody' }), of({ version: 'v9' })],
    };
    const { reportUsage } = controlPlane.client.usage;
    expect(await reportUsage(report)).toEqual({ alreadyAdded: false });
    expect(await reportUsage(report)).toEqual({ alreadyAdded: true });
    expect(await told()).toEqual({ 'cart/v1': 3 });
  });
});
