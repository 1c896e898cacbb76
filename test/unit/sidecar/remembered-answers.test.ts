import { expect, test } from 'vitest';
import { sidecarLimits } from '../../../sidecar/limits.ts';
import type { AskControlPlane } from '../../../sidecar/lookup/ask-control-plane.ts';
import { RememberedAnswers } from '../../../sidecar/lookup/remembered-answers.ts';
import { DomainError, type Reason } from '../../../src/domain/domain-error.ts';
import type { Consistency } from '../../../src/domain/freshness.ts';
import type { Lookup, Resolution } from '../../../src/domain/resolve.ts';
import { createRoute, exampleKey } from '../../fakes/example-configuration.ts';
import { exampleLookup } from '../../fakes/example-traffic-policy.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { callContext } from '../../fakes/sidecar-call-context.ts';
import { SidecarHistory } from '../../fakes/sidecar-history.ts';

const { freshMs, refreshMs, whileRevalidatingMs, ifErrorMs, absentMs } = sidecarLimits.answers;
const eventual: Consistency = { kind: 'eventual' };
const byVersion = exampleLookup({ version: 'v1' });

/** A control plane that the test answers for; its revision grows with each call. */
function start() {
  const clock = new FakeClock();
  const history = new SidecarHistory('acme');
  history.commit(createRoute(exampleKey('v1')));
  const [route] = history.snapshot().routes;
  if (route === undefined) throw new Error('there is one');
  const controlPlane = { failure: undefined as Reason | undefined, reason: 'KEY' as Resolution['reason'], held: false };
  const asked: Lookup[] = [];
  const waiting: (() => void)[] = [];
  const ask: AskControlPlane = async (lookup) => {
    asked.push(lookup);
    const revision = asked.length;
    if (controlPlane.held) await new Promise<void>((resolve) => waiting.push(resolve));
    if (controlPlane.failure !== undefined) throw new DomainError(controlPlane.failure, 'as the test has it');
    const freshness = { source: 'CONTROL_PLANE', revision, stalenessMs: 10, stale: false } as const;
    return { resolution: { route, policy: undefined, reason: controlPlane.reason }, freshness };
  };
  const remembered = new RememberedAnswers({ ask, clock });
  const look = async (lookup = byVersion, consistency = eventual, context = callContext()): Promise<unknown> =>
    await remembered.ask(lookup, consistency, context).then(
      ({ freshness }) => ({ ...freshness }),
      (error: unknown) => (error as { reason?: unknown }).reason ?? error,
    );
  const settle = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));
  return { clock, controlPlane, asked, waiting, remembered, look, settle };
}

const first = { source: 'CONTROL_PLANE', revision: 1, stalenessMs: 10, stale: false };

test('an answer is kept, and said to be as old as it is', async () => {
  const { clock, asked, look } = start();
  expect(await look()).toEqual(first);
  clock.advance(1_000);
  expect(await look()).toEqual({ source: 'CACHE', revision: 1, stalenessMs: 1_010, stale: false });
  expect(asked).toHaveLength(1);
});

test('who asks the same at the same time shares one question, and leaving takes it from nobody', async () => {
  const { controlPlane, asked, waiting, look, settle } = start();
  controlPlane.held = true;
  const leaving = new AbortController();
  const [one, two, three] = [look(), look(byVersion, eventual, callContext({ signal: leaving.signal })), look()];
  leaving.abort(new Error('left'));
  expect(await two).toEqual(new Error('left'));
  await settle();
  for (const answer of waiting) answer();
  expect(await one).toEqual(first);
  expect(await three).toEqual(first);
  expect(asked).toHaveLength(1);
});

test('it is asked again before it is too old, while what is kept is answered; once for all', async () => {
  const { clock, asked, look, settle } = start();
  await look();
  clock.advance(refreshMs + 1);
  expect(await Promise.all([look(), look()])).toMatchObject([{ revision: 1 }, { revision: 1 }]);
  await settle();
  expect(asked).toHaveLength(2);
  expect(await look()).toEqual({ source: 'CACHE', revision: 2, stalenessMs: 10, stale: false });
});

test('past that it is not answered any more, unless nobody else answers; then it is said to be stale', async () => {
  const { clock, controlPlane, asked, look } = start();
  await look();
  clock.advance(whileRevalidatingMs + 1);
  expect(await look()).toMatchObject({ source: 'CONTROL_PLANE', revision: 2 });
  for (const failure of ['CONTROL_PLANE_UNAVAILABLE', 'OVERLOADED'] as const) {
    controlPlane.failure = failure;
    clock.advance(whileRevalidatingMs + 1);
    expect(await look()).toMatchObject({ source: 'CACHE', revision: 2, stale: true });
  }
  clock.advance(ifErrorMs);
  expect(await look()).toBe('OVERLOADED');
  expect(asked).toHaveLength(5);
});

test('"there is nothing" is kept for less long, and never answered past that', async () => {
  const { clock, controlPlane, asked, look } = start();
  controlPlane.failure = 'ROUTE_NOT_FOUND';
  expect([await look(), await look()]).toEqual(['ROUTE_NOT_FOUND', 'ROUTE_NOT_FOUND']);
  expect(asked).toHaveLength(1);
  clock.advance(absentMs + 1);
  controlPlane.failure = 'CONTROL_PLANE_UNAVAILABLE';
  expect(await look()).toBe('CONTROL_PLANE_UNAVAILABLE');
});

test('a failure is not kept: the next one asks', async () => {
  const { controlPlane, asked, look } = start();
  for (const failure of ['CONTROL_PLANE_UNAVAILABLE', 'OVERLOADED', 'INTERNAL'] as const) {
    controlPlane.failure = failure;
    expect(await look()).toBe(failure);
  }
  controlPlane.failure = undefined;
  expect(await look()).toMatchObject({ source: 'CONTROL_PLANE' });
  expect(asked).toHaveLength(4);
});

test('a change drops what it is about, and what was asked before it and is older is not kept', async () => {
  const { controlPlane, asked, waiting, remembered, look, settle } = start();
  await look();
  remembered.changed('acme', { service: 'other', environment: 'production' }, 7);
  await look();
  expect(asked).toHaveLength(1);
  remembered.changed('acme', { service: 'cart', environment: 'production' }, 7);
  controlPlane.held = true;
  const looking = look();
  await settle();
  remembered.changed('acme', { service: 'cart', environment: 'production' }, 8);
  waiting[0]?.();
  expect(await looking).toMatchObject({ revision: 2 });
  controlPlane.held = false;
  expect(await look()).toMatchObject({ source: 'CONTROL_PLANE', revision: 3 });
  remembered.changed('acme', undefined, 9);
  expect(await look()).toMatchObject({ source: 'CONTROL_PLANE', revision: 4 });
});

test('who looks up after a change waits for no question of before it', async () => {
  const { controlPlane, asked, waiting, remembered, look } = start();
  controlPlane.held = true;
  controlPlane.failure = 'ROUTE_NOT_FOUND';
  const before = look();
  remembered.changed('acme', byVersion, 2);
  controlPlane.failure = undefined;
  const after = look();
  expect(asked).toHaveLength(2);
  for (const answer of waiting) answer();
  await before;
  expect(await after).toMatchObject({ revision: 2 });
});

test('a question that is asked alone is outdated by a change all the same', async () => {
  const { controlPlane, asked, waiting, remembered, look } = start();
  controlPlane.held = true;
  controlPlane.failure = 'ROUTE_NOT_FOUND';
  const fresh: Consistency = { kind: 'max_staleness', stalenessMsMax: 100 };
  const before = look(byVersion, fresh);
  remembered.changed('acme', byVersion, 2);
  for (const answer of waiting) answer();
  expect(await before).toBe('ROUTE_NOT_FOUND');
  controlPlane.held = false;
  controlPlane.failure = undefined;
  expect(await look()).toMatchObject({ source: 'CONTROL_PLANE', revision: 2 });
  expect(asked).toHaveLength(2);
});

test('what was asked later stays when what was asked before it comes later', async () => {
  const { clock, controlPlane, waiting, look } = start();
  controlPlane.held = true;
  const fresh: Consistency = { kind: 'max_staleness', stalenessMsMax: 100 };
  const slow = look(byVersion, fresh);
  clock.advance(1);
  const quick = look();
  waiting[1]?.();
  expect(await quick).toMatchObject({ revision: 2 });
  waiting[0]?.();
  expect(await slow).toMatchObject({ revision: 1 });
  expect(await look()).toMatchObject({ source: 'CACHE', revision: 2 });
});

test('an outage brings nothing back that a change has dropped', async () => {
  const { clock, controlPlane, waiting, remembered, look } = start();
  await look();
  clock.advance(whileRevalidatingMs + 1);
  controlPlane.held = true;
  controlPlane.failure = 'CONTROL_PLANE_UNAVAILABLE';
  const asking = look();
  remembered.changed('acme', byVersion, 2);
  for (const answer of waiting) answer();
  expect(await asking).toBe('CONTROL_PLANE_UNAVAILABLE');
});

test('callers with long attributes do not make it hold more than it may', async () => {
  const { remembered, look, controlPlane } = start();
  controlPlane.reason = 'DEFAULT_VERSION';
  const attributes = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`name-${index}`, 'x'.repeat(1_024)]));
  for (let count = 0; count < 1_000; count++) {
    attributes['name-0'] = String(count);
    await look(exampleLookup({ version: '', hashKey: 'k', attributes: { ...attributes } }));
  }
  const textBytes = 64 * 1_024;
  expect(remembered.size * textBytes).toBeLessThan(sidecarLimits.answers.bytesMax);
  expect(remembered.size).toBeGreaterThan(10);
});

test('what is drawn by chance is drawn each time; with a hash key it is not', async () => {
  const { controlPlane, asked, look } = start();
  controlPlane.reason = 'SPLIT';
  const drawn = exampleLookup({ version: '', hashKey: '' });
  await Promise.all([look(drawn), look(drawn)]);
  await look(drawn);
  expect(asked).toHaveLength(3);
  const hashed = { ...drawn, hashKey: 'alice' };
  expect(await look(hashed)).toMatchObject({ source: 'CONTROL_PLANE' });
  expect(await look(hashed)).toMatchObject({ source: 'CACHE' });
  expect(await look({ ...drawn, hashKey: 'bob' })).toMatchObject({ source: 'CONTROL_PLANE' });
});

test('what is kept answers other consistencies where it proves enough', async () => {
  const { clock, asked, look } = start();
  await look();
  clock.advance(500);
  expect(await look(byVersion, { kind: 'max_staleness', stalenessMsMax: 510 })).toMatchObject({ source: 'CACHE' });
  expect(await look(byVersion, { kind: 'max_staleness', stalenessMsMax: 509 })).toMatchObject({ revision: 2 });
  expect(await look(byVersion, { kind: 'min_revision', revision: 2 })).toMatchObject({ source: 'CACHE' });
  expect(await look(byVersion, { kind: 'min_revision', revision: 3 })).toMatchObject({ revision: 3 });
  expect(await look(byVersion, { kind: 'strong' })).toMatchObject({ source: 'CONTROL_PLANE', revision: 4 });
  expect(asked).toHaveLength(4);
});

test('after a reconnect what was looked up last is asked for before it is looked up again', async () => {
  const { clock, asked, remembered, look, settle } = start();
  await look();
  remembered.warm('acme');
  await settle();
  expect(asked).toHaveLength(1);
  clock.advance(freshMs);
  remembered.warm('globex');
  remembered.warm('acme');
  await settle();
  expect(asked).toHaveLength(2);
  expect(await look()).toMatchObject({ source: 'CACHE', revision: 2, stalenessMs: 10 });
});
