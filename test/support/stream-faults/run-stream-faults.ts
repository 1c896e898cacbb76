import { setTimeout as delay } from 'node:timers/promises';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { pick } from '../model/draw-operation.ts';
import { checkObservations, type Committed, type Observation } from './check-observations.ts';
import { faults, type FaultSetting } from './faults.ts';
import { Stage, stagePaths } from './stage.ts';
import { readCommitted, readTruth } from './truth.ts';
import { Writer } from './writer.ts';

/** Every sidecar has what Postgres has so soon after the fault is mended, by itself (DESIGN.md, issue 4). */
const convergenceMsMax = 5_000;
/** Waited for before giving up, ms. */
const patienceMs = 30_000;

export type StreamFaultsOptions = {
  readonly seed: number;
  /** Each fault is made once, however long that takes; then others follow until so many seconds are over. */
  readonly seconds: number;
  /** Only these, by their names; all of them. */
  readonly only?: readonly string[];
  readonly onEvent?: (what: string) => void;
};

/** What came of it. */
export type StreamFaultsFindings = {
  readonly violations: readonly string[];
  /** How many of each fault. */
  readonly made: Readonly<Record<string, number>>;
  /** The slowest convergence after each fault, ms. */
  readonly convergenceMs: Readonly<Record<string, number>>;
  readonly lookupsAnswered: number;
  readonly slowestAnswerMs: number;
  readonly writesAcknowledged: number;
};

/**
 * Writes go on and every sidecar is asked all the time, while one thing after the other is broken and mended; after each, every
 * sidecar must come to what Postgres has. In the end everything that any of them ever said is held against the change log.
 */
export async function runStreamFaults(options: StreamFaultsOptions): Promise<StreamFaultsFindings> {
  const { seed, seconds, only = Object.keys(faults), onEvent = () => {} } = options;
  await using stage = await Stage.start();
  await using writer = new Writer(stage.clients, stagePaths, seededRandom(seed));
  const lost: Committed[] = [];
  const random = seededRandom(seed + 1);
  const violations: string[] = [];
  const made: Record<string, number> = {};
  const convergenceMs: Record<string, number> = {};
  let restores = 0;
  const setting: FaultSetting = {
    stage,
    writer,
    random,
    onLost: (committed) => {
      lost.push(...committed);
      restores++;
    },
  };
  const shuffled = only.map((name) => ({ name, at: random() })).toSorted((left, right) => left.at - right.at);
  const endsAtMs = performance.now() + seconds * 1_000;
  await untilConverged(stage, writer);
  for (let next = 0; next < shuffled.length || performance.now() < endsAtMs; next++) {
    const name = shuffled[next]?.name ?? pick(random, only);
    onEvent(name);
    await delay(random() * 500);
    await faults[name]?.(setting);
    made[name] = (made[name] ?? 0) + 1;
    const { tookMs, differences } = await untilConverged(stage, writer);
    convergenceMs[name] = Math.max(convergenceMs[name] ?? 0, Math.round(tookMs));
    if (tookMs > convergenceMsMax)
      violations.push(`${Math.round(tookMs)} ms after "${name}": ${differences.slice(0, 3).join('; ')}`);
    onEvent(`  converged after ${Math.round(tookMs)} ms`);
  }
  await writer.pause();
  const committed = [...lost, ...(await readCommitted(stage.databaseUrl))];
  violations.push(...checkObservations(stage.observed, committed, restores));
  return {
    violations,
    made,
    convergenceMs,
    lookupsAnswered: stage.answers,
    slowestAnswerMs: Math.round(stage.slowestMs),
    writesAcknowledged: writer.acknowledged,
  };
}

/** Waits until every sidecar says of every route what Postgres has, while nobody writes. */
async function untilConverged(
  stage: Stage,
  writer: Writer,
): Promise<{ readonly tookMs: number; readonly differences: readonly string[] }> {
  const mendedAtMs = performance.now();
  await writer.pause();
  let differences: string[] = [];
  let late: string[] = [];
  let tookMs = 0;
  do {
    await delay(20);
    const truth = await readTruth(stage.databaseUrl).catch(() => undefined);
    differences = truth === undefined ? ['Postgres does not answer'] : differencesFrom(stage, truth);
    tookMs = performance.now() - mendedAtMs;
    if (tookMs > convergenceMsMax && late.length === 0) late = differences;
  } while (differences.length > 0 && tookMs < patienceMs);
  writer.resume();
  return { tookMs, differences: late };
}

function differencesFrom(stage: Stage, truth: ReadonlyMap<string, Committed>): string[] {
  return stage.observers.flatMap((observer) =>
    [...observer.latest()].flatMap(([path, said]) => {
      const there = truth.get(path);
      return isSame(said, there) ? [] : [`${path} is ${JSON.stringify(said)}, not ${JSON.stringify(there)}`];
    }),
  );
}

function isSame(said: Observation | undefined, there: Committed | undefined): boolean {
  if (said?.kind === 'found') return said.revision === there?.revision && said.url === there.url;
  return said?.kind === 'absent' && there === undefined;
}
