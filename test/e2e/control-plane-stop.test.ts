import { afterEach, beforeEach, expect, test } from 'vitest';
import { createClient } from '../../src/client/index.ts';
import { createDatabase, startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { startProcess } from '../support/sidecar-process.ts';
import { putTenant } from '../support/sidecar.ts';

let started: AsyncDisposableStack;
let postgres: TestPostgres;

beforeEach(async () => {
  started = new AsyncDisposableStack();
  postgres = started.use(await startTestPostgres());
});
afterEach(async () => await started.disposeAsync());

/** A control plane with a write that its database, which has stopped to answer, will never finish. */
async function stuck() {
  const { url } = started.use(await createDatabase(postgres.url));
  started.defer(async () => await postgres.thaw());
  const controlPlane = started.use(
    await startProcess('controlPlane', {
      DATABASE_URL: url,
      TM_DATABASE_TIMEOUT_MS: '60000',
      TM_CONTROL_PLANE_ADDRESS: '127.0.0.1:0',
      TM_DRAIN_MS: '100',
    }),
  );
  const client = started.use(createClient({ address: controlPlane.addresses[0] ?? '' }));
  await postgres.freeze();
  putTenant(client).catch(() => {});
  return controlPlane;
}

test('a control plane whose database does not answer is gone all the same after its time to stop', async () => {
  const { child, ended } = await stuck();
  child.kill('SIGTERM');
  expect(await ended).toMatchObject({
    code: 1,
    errors: expect.stringContaining('it did not stop within 5100 ms') as unknown,
  });
});
