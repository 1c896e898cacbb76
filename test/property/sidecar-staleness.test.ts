import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sidecarLimits } from '../../sidecar/limits.ts';
import { SnapshotMemory } from '../../sidecar/snapshot/snapshot-memory.ts';
import { ControlPlaneSource } from '../../sidecar/sync/control-plane-source.ts';
import { TenantSync } from '../../sidecar/sync/tenant-sync.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createRoute, exampleKey, moveRoute } from '../fakes/example-configuration.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { DelayedServer } from '../fakes/sidecar-delayed-server.ts';
import { SidecarHistory } from '../fakes/sidecar-history.ts';
import { ScriptedWatch } from '../fakes/sidecar-scripted-watch.ts';

const key = exampleKey('v1');

/** A sidecar whose server and network do what the test says. */
function start() {
  const clock = new FakeClock();
  const network = new ScriptedWatch();
  const server = new DelayedServer(new SidecarHistory('acme'), clock, network);
  server.commit(createRoute(key));
  const sync = new TenantSync({
    tenant: 'acme',
    memory: new SnapshotMemory({ bytesMax: 1_000_000 }).tenant('acme'),
    source: new ControlPlaneSource(network, { clock, random: () => 0.5, schedule: (run) => run() }),
    clock,
    random: () => 0,
    logger: createLogger('sidecar', 'silent'),
  });
  return { clock, server, sync };
}

type Stage = ReturnType<typeof start>;

/** What may happen next, each as often as its weight says. */
const happenings = {
  commit: [3, ({ server }, count) => server.commit(moveRoute(key, `grpc://host-${count}:1`))],
  'a while passes': [4, ({ clock }, count) => clock.advance(count)],
  'the server learns of a commit': [2, ({ server }) => server.learnOne()],
  'the server knows all': [2, ({ server }) => server.learnAll()],
  'a watch reaches the server': [2, ({ server }) => server.accept()],
  progress: [2, ({ server }) => server.progress()],
  'a message arrives': [5, async ({ server }) => await server.deliver()],
  'a question reaches the server': [3, ({ server }) => server.serve()],
  'an answer arrives': [3, ({ server }) => server.answer()],
  'a question is lost': [1, ({ server }) => server.loseQuestion()],
  'connections break': [1, ({ server }) => server.cut()],
} as const satisfies Record<string, readonly [number, (stage: Stage, count: number) => void | Promise<void>]>;

type Happening = { readonly kind: keyof typeof happenings; readonly count: number };

const happening: fc.Arbitrary<Happening> = fc.record({
  kind: fc.oneof(
    ...Object.entries(happenings).map(([kind, [weight]]) => ({
      weight,
      arbitrary: fc.constant(kind as Happening['kind']),
    })),
  ),
  count: fc.nat({ max: 700 }),
});

/** Everybody has done what can be done without time passing. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function expectNotUnderstated({ sync, server }: Stage): void {
  if (sync.memory.tenant === undefined) return;
  expect(sync.stalenessMs()).toBeGreaterThanOrEqual(server.ageMs(sync.memory.position.revision));
}

/** A network as networks mostly are. */
async function calmDown({ clock, server }: Stage): Promise<void> {
  for (let round = 0; round < 8; round++) {
    clock.advance(sidecarLimits.askIntervalMs);
    await settled();
    server.learnAll();
    server.accept();
    server.progress();
    while (!server.isDone) await server.deliver();
    await settled();
    server.serve();
    server.answer();
    await settled();
  }
}

test('staleness is never less than it truly is, however late anything arrives, and small again once nothing is late', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { minLength: 20, maxLength: 120, size: 'max' }), async (all) => {
      const stage = start();
      try {
        await settled();
        for (const { kind, count } of all) {
          await happenings[kind][1](stage, count);
          await settled();
          expectNotUnderstated(stage);
        }
        await calmDown(stage);
        expectNotUnderstated(stage);
        expect(stage.sync.state).toEqual({ kind: 'live' });
        expect(stage.sync.stalenessMs()).toBe(0);
      } finally {
        await stage.sync[Symbol.asyncDispose]();
      }
    }),
    { seed: 20_261_122, numRuns: 300 },
  );
});
