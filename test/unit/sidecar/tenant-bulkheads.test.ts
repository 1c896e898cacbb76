import { expect, test } from 'vitest';
import { FullError } from '../../../sidecar/guard/bulkhead.ts';
import { TenantBulkheads } from '../../../sidecar/guard/tenant-bulkheads.ts';

const { signal } = new AbortController();

test('a tenant whose calls hang fills its own places and waiting room, and another is called at once', async () => {
  const perTenant = { concurrentMax: 2, waitingMax: 3 };
  const bulkheads = new TenantBulkheads({ perTenant, all: { concurrentMax: 4, waitingMax: 100 } });
  const hanging = Promise.withResolvers<string>();
  let underWay = 0;
  const hang = async (): Promise<string> => {
    underWay++;
    return await hanging.promise;
  };
  const greedy = Array.from({ length: 5 }, () => bulkheads.run('greedy', hang, signal));
  await expect(bulkheads.run('greedy', hang, signal)).rejects.toThrow(FullError);
  expect(underWay).toBe(perTenant.concurrentMax);
  expect(await bulkheads.run('other', async () => 'answered', signal)).toBe('answered');
  hanging.resolve('at last');
  expect(await Promise.all(greedy)).toEqual(Array.from({ length: 5 }, () => 'at last'));
});
