import { expect, test } from 'vitest';
import { natsSourceLimits } from '../../../sidecar/limits.ts';
import { LiveAssembly } from '../../../sidecar/sync/nats-live-assembly.ts';
import type { LiveUpdate } from '../../../sidecar/sync/nats-stream-messages.ts';
import type { Change } from '../../../src/domain/change.ts';
import { createRoute, exampleKey } from '../../fakes/example-configuration.ts';
import { SidecarHistory } from '../../fakes/sidecar-history.ts';

/** One transaction of three changes, in three parts. */
function start() {
  const history = new SidecarHistory('acme');
  const changes = history.commit(...['v1', 'v2', 'v3'].map((version) => createRoute(exampleKey(version))));
  const part = (of: readonly Change[], fields: Partial<LiveUpdate> = {}): LiveUpdate => ({
    epoch: 'e1',
    position: history.position,
    digest: 'd',
    term: 1,
    after: 1,
    changes: of,
    continued: true,
    ...fields,
  });
  const [first, second, third] = changes.map((change) => part([change]));
  if (first === undefined || second === undefined || third === undefined) throw new Error('three changes');
  return { history, changes, part, first, second, third: { ...third, continued: false }, assembly: new LiveAssembly() };
}

test('an update in one message is whole, and so is a beacon', () => {
  const { assembly, part, changes } = start();
  const update = part(changes, { continued: false });
  expect(assembly.take(update, 1)).toEqual({ kind: 'whole', update });
  const beacon = part([], { after: 4, continued: false });
  expect(assembly.take(beacon, 1)).toEqual({ kind: 'whole', update: beacon });
});

test('parts are put together, whatever comes twice', () => {
  const { assembly, changes, first, second, third } = start();
  for (const part of [first, first, second, first, second]) expect(assembly.take(part, 1)).toEqual({ kind: 'partial' });
  expect(assembly.take(third, 1)).toEqual({ kind: 'whole', update: { ...third, changes } });
  // And the next one begins anew.
  expect(assembly.take(third, 1).kind).toBe('broken');
});

test.each(['first', 'second'] as const)('without its %s part it is broken', (lost) => {
  const { assembly, ...parts } = start();
  for (const name of ['first', 'second'] as const) if (name !== lost) assembly.take(parts[name], 1);
  expect(assembly.take(parts.third, 1)).toEqual({ kind: 'broken', update: parts.third });
});

test('parts of two publishers, two streams or two updates do not make one', () => {
  for (const fields of [{ term: 2 }, { epoch: 'e2' }, { position: { revision: 4, commitId: 'other' } }]) {
    const { assembly, first, second, third } = start();
    assembly.take(first, 1);
    assembly.take({ ...second, ...fields }, 1);
    expect(assembly.take({ ...third, ...fields }, 1).kind).toBe('broken');
  }
});

test('an update that begins anew after it was broken off is whole', () => {
  const { assembly, part, changes, first } = start();
  assembly.take(first, 1);
  const another = part(changes, { term: 2, continued: false });
  expect(assembly.take(another, 1)).toEqual({ kind: 'whole', update: another });
});

test('more than may be kept breaks it', () => {
  const { assembly, first, second, third } = start();
  assembly.take(first, natsSourceLimits.assemblyBytesMax);
  assembly.take(second, 1);
  expect(assembly.take(third, 1).kind).toBe('broken');
});
