import { inject } from 'vitest';
import { describeReads } from './configuration-store-reads.contract.ts';
import { describeCommits, type OpenedStores } from './configuration-store.contract.ts';
import { openTestDatabase } from './open-test-database.ts';

async function open(): Promise<OpenedStores> {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await openTestDatabase(inject('postgresUrl')));
  const stores = [database.openStore(), database.openStore()] as const;
  const owned = stack.move();
  return { stores, [Symbol.asyncDispose]: async () => await owned.disposeAsync() };
}

describeCommits('the Postgres store', open);
describeReads('the Postgres store', open);
