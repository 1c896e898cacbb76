import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createGroup, type Group } from '../../sidecar/snapshot/group.ts';
import { GroupIndex, type Named } from '../../sidecar/snapshot/group-index.ts';
import { type Place, Slabs } from '../../sidecar/snapshot/slabs.ts';
import { groupNameBytes, writeGroupName } from '../../src/wire/group-name.ts';

/** With its name only, so that there can be many. */
class Entry implements Named {
  readonly place: Place;
  readonly nameBytes: number;

  constructor(slabs: Slabs, name: Buffer) {
    this.nameBytes = name.length;
    this.place = slabs.take(name.length);
    name.copy(this.place.slab.buffer, this.place.start);
  }

  touch(): number {
    return this.nameBytes;
  }
}

function named(service: string, environment: string): Buffer {
  const bytes = Buffer.alloc(groupNameBytes(service, environment));
  expect(writeGroupName(bytes, 0, service, environment)).toBe(bytes.length);
  return bytes;
}

test('an index finds what was added and not deleted, and nothing else', () => {
  // Few names in few places: most share theirs, and chains of them wrap around the end.
  const step = fc.record({ does: fc.constantFrom('add', 'add', 'delete', 'clear'), name: fc.nat({ max: 60 }) });
  let found = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300, size: 'max' }), (steps) => {
      const slabs = new Slabs();
      const index = new GroupIndex<Entry>(slabs);
      const model = new Map<number, Entry>();
      const bytesOf = (name: number): Buffer => (name % 2 === 0 ? named(`n${name}`, 'e') : named('name', `e${name}`));
      for (const { does, name } of steps) {
        const held = model.get(name);
        if (does === 'clear' && name === 0) {
          index.clear();
          model.clear();
        } else if (does === 'add' && held === undefined) {
          const entry = new Entry(slabs, bytesOf(name));
          index.add(entry);
          model.set(name, entry);
        } else if (does === 'delete') {
          // What is not there may be deleted, too.
          index.delete(held ?? new Entry(slabs, bytesOf(name)));
          // Its slot is another's from then on.
          if (held !== undefined) slabs.release(held.place);
          model.delete(name);
        }
        for (let each = 0; each <= 60; each++) {
          const bytes = Buffer.concat([Buffer.from('('), bytesOf(each), Buffer.from(')')]);
          const entry = index.find(bytes, 1, bytes.length - 1);
          expect(entry).toBe(model.get(each));
          if (entry !== undefined) found++;
        }
      }
    }),
    { numRuns: 25, seed: 11 },
  );
  expect(found).toBeGreaterThan(10_000);
});

test('a group is found by the bytes of its service and environment, and not by another cut of the same letters', () => {
  const slabs = new Slabs();
  const index = new GroupIndex<Group>(slabs);
  const find = (service: string, environment: string): Group | undefined => {
    const bytes = named(service, environment);
    return index.find(bytes, 0, bytes.length);
  };
  const longest = 'x'.repeat(63);
  const names = [
    ['ab', 'c'],
    ['a', 'bc'],
    [longest, longest],
  ] as const;
  const groups = names.map(([service, environment]) => {
    const group = createGroup([], undefined, 1);
    group.settle(slabs, { service, environment });
    index.add(group);
    return group;
  });
  expect(names.map(([service, environment]) => find(service, environment))).toEqual(groups);
  expect(find('abc', 'c')).toBeUndefined();
  index.delete(groups[0]!);
  expect(find('ab', 'c')).toBeUndefined();
  expect(find('a', 'bc')).toBe(groups[1]);
});
