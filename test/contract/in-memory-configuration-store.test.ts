import { createInMemoryConfigurationStore } from '../fakes/in-memory-configuration-store.ts';
import { describeReads } from './configuration-store-reads.contract.ts';
import { describeCommits, type OpenedStores } from './configuration-store.contract.ts';

async function open(): Promise<OpenedStores> {
  // Time that stands still for three commits at a time and once goes back.
  let reads = 0;
  const store = createInMemoryConfigurationStore(() => {
    reads += 1;
    return 1_767_225_600_000 + Math.floor(reads / 3) - (reads === 50 ? 10 : 0);
  });
  return await Promise.resolve({ stores: [store, store], [Symbol.asyncDispose]: async () => await Promise.resolve() });
}

describeCommits('the in-memory store', open);
describeReads('the in-memory store', open);
