import { describe, expect, test } from 'vitest';
import type { LeaseHolder, RelayLease } from '../../src/ports/relay-lease.ts';

/** Two replicas' ways to one lease, which lasts as long as it is told. */
export type OpenedLeases = AsyncDisposable & {
  readonly leases: readonly [RelayLease, RelayLease];
  /** Lets the time of a claim go by. */
  expire(): Promise<void>;
};

export function describeRelayLease(name: string, open: () => Promise<OpenedLeases>): void {
  describe(`the relay lease of ${name}`, () => {
    test('is taken by the first who claims it, kept by renewing, and told to others', async () => {
      await using opened = await open();
      const [one, two] = opened.leases;
      expect(await one.claim('one', 1)).toEqual({ holder: 'one', term: 1 });
      expect(await two.claim('two', 1)).toEqual({ holder: 'one', term: 1 });
      expect(await one.claim('one', 1)).toEqual({ holder: 'one', term: 1 });
      expect(await two.claim('two', 1)).toEqual({ holder: 'one', term: 1 });
    });

    test('is lost when its time is over and another one claims it, in the next term', async () => {
      await using opened = await open();
      const [one, two] = opened.leases;
      await one.claim('one', 1);
      await opened.expire();
      expect(await two.claim('two', 1)).toEqual({ holder: 'two', term: 2 });
      expect(await one.claim('one', 1)).toEqual({ holder: 'two', term: 2 });
    });

    test("still is its holder's, in the same term, when its time was over and nobody has claimed it", async () => {
      await using opened = await open();
      const [one] = opened.leases;
      await one.claim('one', 1);
      await opened.expire();
      expect(await one.claim('one', 1)).toEqual({ holder: 'one', term: 1 });
    });

    test('given up, it can be taken by another one at once, in the next term', async () => {
      await using opened = await open();
      const [one, two] = opened.leases;
      await one.claim('one', 1);
      await two.release('two');
      expect(await two.claim('two', 1)).toEqual({ holder: 'one', term: 1 });
      await one.release('one');
      expect(await two.claim('two', 1)).toEqual({ holder: 'two', term: 2 });
    });

    test('has at least the term that its holder asks for', async () => {
      await using opened = await open();
      const [one, two] = opened.leases;
      expect(await one.claim('one', 7)).toEqual({ holder: 'one', term: 7 });
      expect(await one.claim('one', 9)).toEqual({ holder: 'one', term: 9 });
      expect(await one.claim('one', 1)).toEqual({ holder: 'one', term: 9 });
      expect(await two.claim('two', 20)).toEqual({ holder: 'one', term: 9 });
    });

    test('of many who claim it at once, one has it', async () => {
      await using opened = await open();
      const claims = Array.from({ length: 20 }, async (_, index): Promise<LeaseHolder> => {
        const lease = opened.leases[index % 2] as RelayLease;
        return await lease.claim(`replica-${index}`, 1);
      });
      const holders = await Promise.all(claims);
      expect(new Set(holders.map(({ holder }) => holder)).size).toBe(1);
      expect(new Set(holders.map(({ term }) => term))).toEqual(new Set([1]));
    });
  });
}
