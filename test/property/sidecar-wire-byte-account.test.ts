import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { ByteAccount } from '../../sidecar/wire/byte-account.ts';
import { ByteBudget } from '../../sidecar/wire/byte-budget.ts';

const own = { bytes: 50, countMax: 3 };
const sharedBytes = 100;
const slots = 5;

const steps = fc.array(
  fc.record({
    slot: fc.nat({ max: slots - 1 }),
    what: fc.constantFrom('take', 'take', 'charge', 'give', 'leave', 'give of one that left'),
    bytes: fc.integer({ min: 1, max: 80 }),
  }),
  { maxLength: 60 },
);

/** What one has taken, by plain sums. */
type Member = { readonly account: ByteAccount; readonly ownBytes: number; taken: number };

const beyond = ({ taken, ownBytes }: Member): number => Math.max(0, taken - ownBytes);
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Those that share a budget, and those that have left it and not given everything back. */
class Members {
  readonly budget = new ByteBudget(sharedBytes, own);
  readonly here: Member[] = [];
  readonly left: Member[] = [];

  constructor() {
    for (let slot = 0; slot < slots; slot++) this.here.push(this.#join());
  }

  get sharedTaken(): number {
    return sum([...this.here, ...this.left].map(beyond));
  }

  #join(): Member {
    const ofHere = sum(this.here.map(({ ownBytes }) => ownBytes));
    const ofLeft = sum(this.left.map((each) => each.taken - beyond(each)));
    const isLeft = own.bytes * own.countMax - ofHere - ofLeft >= own.bytes;
    return { account: new ByteAccount(this.budget), ownBytes: isLeft ? own.bytes : 0, taken: 0 };
  }

  leave(slot: number): void {
    const [member] = this.here.splice(slot, 1);
    member!.account.close();
    this.left.push(member!);
    this.here.splice(slot, 0, this.#join());
  }

  take(member: Member, bytes: number): void {
    const before = beyond(member);
    const after = beyond({ ...member, taken: member.taken + bytes });
    const fits = after === before || this.sharedTaken - before + after <= sharedBytes;
    expect(member.account.take(bytes)).toBe(fits);
    if (fits) member.taken += bytes;
  }

  charge(member: Member, bytes: number): void {
    member.account.charge(bytes);
    member.taken += bytes;
  }

  give(member: Member, bytes: number): void {
    const back = Math.min(bytes, member.taken);
    member.account.give(back);
    member.taken -= back;
  }
}

it('refuses nobody what is its own, and all together what is beyond and shared', () => {
  fc.assert(
    fc.property(steps, (all) => {
      const members = new Members();
      for (const { slot, what, bytes } of all) {
        const member = members.here[slot]!;
        const gone = members.left[slot];
        if (what === 'take' || what === 'charge' || what === 'give') members[what](member, bytes);
        else if (what === 'leave') members.leave(slot);
        else if (gone !== undefined) members.give(gone, bytes);
        for (const each of members.here)
          expect(each.account.isSpent).toBe(each.taken > each.ownBytes && members.sharedTaken > sharedBytes);
      }
      for (const member of [...members.here, ...members.left]) members.give(member, member.taken);
      for (const { account } of members.here) account.close();
      expect(members.budget.take(sharedBytes)).toBe(true);
      expect(Array.from({ length: 4 }, () => members.budget.join())).toEqual([50, 50, 50, 0]);
    }),
    { seed: 20_261_123, numRuns: 500 },
  );
});
