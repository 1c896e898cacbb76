import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SnapshotMemory } from '../../sidecar/snapshot/snapshot-memory.ts';
import type { TenantMemory } from '../../sidecar/snapshot/tenant-memory.ts';
import { ControlPlaneSource } from '../../sidecar/sync/control-plane-source.ts';
import { resourceOf, type Change } from '../../src/domain/change.ts';
import type { Mutation } from '../../src/domain/mutation.ts';
import { encodeChange, encodeChangeBatch, encodePosition } from '../../src/wire/watch-wire.ts';
import { createRoute, exampleKey, moveRoute, setDefaultVersion } from '../fakes/example-configuration.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { rangeOf, SidecarHistory } from '../fakes/sidecar-history.ts';
import { wholeSnapshots } from '../fakes/sidecar-whole-snapshots.ts';

/** One the beginning of the next. */
const versions = ['v', 'v1', 'v10', 'v100'] as const;
/** What policies name: always there. */
const stable = ['stable-0', 'stable-1'] as const;
const policyKey = { tenant: 'acme', service: 'cart', environment: 'production' };

type Step = {
  readonly version: (typeof versions)[number];
  readonly what: 'route' | 'no_route' | 'policy' | 'no_policy';
};
const step: fc.Arbitrary<Step> = fc.record({
  version: fc.constantFrom(...versions),
  what: fc.constantFrom('route', 'route', 'no_route', 'policy', 'no_policy'),
});
const transaction = fc.uniqueArray(step, {
  minLength: 1,
  maxLength: 4,
  selector: ({ version, what }) => (what.endsWith('policy') ? 'policy' : version),
});
/**
 * How many transactions go together, how, and in how many messages; then what goes wrong: which change lacks its last byte, and where
 * the last byte is that arrives, of 1 all do.
 */
const sending = fc.record({
  transactions: fc.integer({ min: 1, max: 4 }),
  how: fc.constantFrom('units', 'range'),
  changesPerPart: fc.integer({ min: 1, max: 5 }),
  damaged: fc.option(fc.nat(6), { nil: undefined, freq: 2 }),
  arrives: fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
});

/** What a step changes; nothing where there is nothing to change. */
function mutationOf({ version, what }: Step, held: Held, index: number): Mutation | undefined {
  const key = exampleKey(version);
  switch (what) {
    case 'route':
      if (held[version] !== undefined) return moveRoute(key, `grpc://moved-${index}:1`);
      return createRoute(key);
    case 'no_route':
      return held[version] === undefined ? undefined : { kind: 'delete_route', key, etag: '' };
    case 'policy':
      return setDefaultVersion(policyKey, stable[index % 2] ?? '');
    case 'no_policy':
      return held['policy'] === undefined ? undefined : { kind: 'delete_traffic_policy', key: policyKey, etag: '' };
  }
}

/** The etags of what there is, by version. */
type Held = Readonly<Record<string, string>>;

function heldBy(history: SidecarHistory): Held {
  const { routes, policies } = history.snapshot();
  const held: Record<string, string> = {};
  for (const { key, etag } of routes) held[key.version] = etag;
  for (const { etag } of policies) held['policy'] = etag;
  return held;
}

function heldIn(memory: TenantMemory): Held {
  const group = memory.find('cart', 'production');
  const held: Record<string, string> = {};
  for (const [version, { etag }] of group?.routes ?? []) held[version] = etag;
  if (group?.policy !== undefined) held['policy'] = group.policy.etag;
  return held;
}

type How = {
  readonly how: 'units' | 'range';
  readonly changesPerPart: number;
  readonly damaged: number | undefined;
};

/** The messages that tell of these transactions: as whole ones, or as a range, or in parts where the only one is cut. */
function messagesOf(transactions: readonly (readonly Change[])[], { how, changesPerPart, damaged }: How): Buffer[] {
  const all = transactions.flat();
  const after = (all[0]?.revision ?? 0) - 1;
  const coalescedAfter = how === 'range' ? after : undefined;
  const newest = new Map(all.map((change) => [resourceOf(change.subject), change]));
  const told = how === 'range' ? all.filter((change) => newest.get(resourceOf(change.subject)) === change) : all;
  const inParts = how === 'range' || transactions.length === 1;
  const messages: Buffer[] = [];
  for (let from = 0; from < told.length; from += inParts ? changesPerPart : told.length) {
    const part = inParts ? told.slice(from, from + changesPerPart) : told;
    const continued = from + part.length < told.length;
    const position = continued ? { revision: after, commitId: '' } : rangeOf(all).position;
    const encoded = part.map((change, index) =>
      encodeChange(change).subarray(0, from + index === damaged ? -1 : undefined),
    );
    const batch = encodeChangeBatch(encoded, { continued, coalescedAfter });
    messages.push(Buffer.concat([encodePosition(position), batch]));
  }
  return messages;
}

test('however a history is sent, and wherever its streams break, what is held is a commit of it', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(transaction, { minLength: 1, maxLength: 8 }),
      fc.array(sending),
      async (steps, sendings) => {
        const history = new SidecarHistory('acme');
        history.commit(...stable.map((version) => createRoute(exampleKey(version))));
        const memory = new SnapshotMemory({ bytesMax: 1_000_000 }).tenant('acme');
        memory.replace(history.snapshot());
        const states = new Map([[history.position.revision, heldBy(history)]]);
        const transactions: (readonly Change[])[] = [];
        for (const [index, each] of steps.entries()) {
          const mutations = each.flatMap((one) => mutationOf(one, heldBy(history), index) ?? []);
          const changes = mutations.length === 0 ? [] : history.commit(...mutations);
          if (changes.length > 0) transactions.push(changes);
          states.set(history.position.revision, heldBy(history));
        }
        let confirmed = 0;
        const sink = {
          held: memory,
          cutOff: () => {},
          ...wholeSnapshots(() => {}),
          changes: (range: Parameters<TenantMemory['advance']>[0]) => memory.advance(range),
          confirmed: () => void confirmed++,
        };
        const whole = { transactions: 100, how: 'units', changesPerPart: 100, damaged: undefined, arrives: 1 } as const;
        for (const { transactions: count, arrives, ...how } of [...sendings, whole]) {
          const { revision } = memory.position;
          const missing = transactions.filter((changes) => (changes[0]?.revision ?? 0) > revision);
          if (missing.length === 0) break;
          const messages = messagesOf(missing.slice(0, count), how);
          const bytes = messages.reduce((total, { length }) => total + length, 0);
          let left = Math.floor(bytes * arrives);
          const source = new ControlPlaneSource(
            {
              watch: async function* () {
                for (const message of messages) {
                  yield message.subarray(0, left);
                  left -= message.length;
                  if (left <= 0) return;
                }
              },
              getPosition: () => new Promise(() => {}),
            },
            { clock: new FakeClock(), random: () => 0.5, schedule: (run) => void setImmediate(run) },
          );
          const end = await source.follow('acme', memory.position, sink, new AbortController().signal);
          expect(end.kind).toBe('disconnected');
          expect(states.has(memory.position.revision)).toBe(true);
          expect(heldIn(memory)).toEqual(states.get(memory.position.revision));
          if (arrives === 1 && how.damaged === undefined)
            expect(memory.position).toEqual(rangeOf(missing.slice(0, count).flat()).position);
        }
        expect(memory.position).toEqual(history.position);
        expect(memory.digestAfter([])).toBe(digestOf(history));
      },
    ),
    { numRuns: 300 },
  );
});

/** Of all that a history has, taken as a whole. */
function digestOf(history: SidecarHistory): string | undefined {
  const memory = new SnapshotMemory({ bytesMax: 1_000_000 }).tenant('acme');
  memory.replace(history.snapshot());
  return memory.digestAfter([]);
}
