import { sidecarRuntime } from '../../../deploy/embedded/sidecar-runtime.ts';
import { createClient } from '../../../src/client/create-client.ts';
import { ResolveRequest, ResolverServiceService } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import type { BenchOptions } from '../bench-options.ts';
import type { ProcessFigures } from '../process-figures.ts';
import { median, printTable } from '../report.ts';
import { benchKey } from '../resolve/bench-routes.ts';
import { spawnServer, type BenchServer } from '../spawn-server.ts';
import type { SoakCounts } from './soak-tally.ts';
import { applySteadyLoad } from './steady-load.ts';

type Line = {
  /** Of one core. */
  readonly cpuShare: number;
  readonly counts: SoakCounts;
  readonly problems: readonly string[];
  readonly figures: ProcessFigures;
};

const changesPerSecond = 100;
const lineSecondsMax = 60;
/** Memory is judged from here on: before that a heap still finds its size. */
const judgedSecondsMin = 900;
const growthMax = 1.1;
const mebibyte = 1_048_576;
/** A sidecar that answers fewer is not alive. */
const callsPerSecondMin = 1;

/** In which it is found out what the sidecar can take. */
const capacitySeconds = 5;

/**
 * A sidecar on our engine, run as it is shipped, at half of what it can take, with changes, cancellations, deadlines and connections
 * that break all the time. What makes up the half is h2load's: calls of one key at a steady rate. Beside it callers of our own look at
 * every answer. One line a minute; fails on any wrong answer, and on memory that grows from the middle third to the last.
 */
export async function benchSoak({ seconds, routes }: BenchOptions): Promise<void> {
  await using source = await spawnServer('test/bench/resolve/snapshot-server.ts', { BENCH_ROUTES: String(routes) }, 1);
  await using sidecar = await spawnServer('test/bench/resolve/sidecar-server.ts', {
    TM_SIDECAR_SOURCE: `grpc://${source.address}`,
    TM_SIDECAR_WIRE: 'wire',
    ...sidecarRuntime,
  });
  await untilItHasRoutes(sidecar);
  await using load = await spawnServer(
    'test/bench/soak/soak-load.ts',
    { BENCH_ADDRESS: sidecar.address, BENCH_ROUTES: String(routes) },
    1,
  );
  await source.ask(String(changesPerSecond));
  const key = benchKey(routes >> 1);
  const request = Buffer.from(ResolveRequest.encode({ key, hashKey: '', attributes: {}, method: '' }).finish());
  const steady = { server: sidecar, path: ResolverServiceService.resolve.path, request };
  const atMost = (await applySteadyLoad({ ...steady, seconds: capacitySeconds })).succeeded / capacitySeconds;
  const checkedPerSecond = Number(await load.ask('capacity')) / 2;
  const steadyPerSecond = atMost / 2;
  console.log(
    `${Math.round(atMost)} calls/s at most; half of them for ${seconds} s, ${Math.round(checkedPerSecond)} calls/s that are ` +
      `looked at beside them, ${changesPerSecond} changes/s`,
  );
  const steadyCalls = applySteadyLoad({ ...steady, perSecond: steadyPerSecond, seconds });
  await sidecar.ask('figures');
  const lineSeconds = Math.min(lineSecondsMax, Math.max(1, Math.floor(seconds / 9)));
  const lines: Line[] = [];
  let cpuUs = sidecar.cpuUs();
  for (let left = seconds; left > 0; left -= lineSeconds) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, lineSeconds) * 1_000));
    const { problems, ...counts } = (await load.ask('counts')) as SoakCounts & { readonly problems: string[] };
    const cpuShare = (sidecar.cpuUs() - cpuUs) / (Math.min(left, lineSeconds) * 1_000_000);
    cpuUs = sidecar.cpuUs();
    lines.push({ cpuShare, counts, problems, figures: (await sidecar.ask('figures')) as ProcessFigures });
    printLine(lines, lineSeconds);
  }
  const { succeeded, failed } = await steadyCalls;
  console.log(`${succeeded} calls at a steady rate were answered, ${failed} were not`);
  judge(lines, seconds, failed);
}

/** Calls wait for the first snapshot: they would be measured as what the sidecar can take. */
async function untilItHasRoutes({ address }: BenchServer): Promise<void> {
  using client = createClient({ address });
  await client.resolver.resolve({ key: benchKey(1) }, { timeoutMs: 120_000 });
}

function printLine(lines: readonly Line[], lineSeconds: number): void {
  const { cpuShare, counts, problems, figures } = lines.at(-1)!;
  const { pauses, rssBytes, heapBytes } = figures;
  const words = [
    `${Math.round((lines.length * lineSeconds) / 6) / 10} min`,
    `${counts.calls} calls`,
    `${counts.lookups} lookups`,
    `${counts.errors} errors`,
    `${counts.notFound} not found`,
    `${counts.late} late`,
    `${counts.cancelled} cancelled`,
    `${counts.cut} cut`,
    `revision ${counts.revision}`,
    `${Math.round(cpuShare * 100)} % of a core`,
    `RSS ${Math.round(rssBytes / mebibyte)} MiB`,
    `heap ${Math.round(heapBytes / mebibyte)} MiB`,
    `${pauses.count} pauses of ${pauses.maxMs.toFixed(1)} ms at most, ${Math.round(pauses.totalMs)} ms in all`,
  ];
  console.log(words.join(', '));
  for (const problem of problems) console.log(`  ${problem}`);
}

function judge(lines: readonly Line[], seconds: number, failed: number): void {
  const third = Math.floor(lines.length / 3);
  const rssMiB = (from: number, to: number | undefined): number =>
    median(lines.slice(from, to).map(({ figures }) => figures.rssBytes)) / mebibyte;
  const middle = rssMiB(third, 2 * third);
  const last = rssMiB(lines.length - third, undefined);
  const total = (what: keyof SoakCounts): number => lines.reduce((sum, { counts }) => sum + counts[what], 0);
  const [calls, errors] = [total('calls'), total('errors') + failed];
  const isMoving = (lines.at(-1)?.counts.revision ?? 0) > (lines[0]?.counts.revision ?? 0);
  const isJudged = seconds >= judgedSecondsMin;
  printTable(
    ['soak', '', 'value', 'wanted'],
    [
      ['calls', '', calls, 'some'],
      ['errors', '', String(errors), '0'],
      ['the revision moves', '', isMoving ? 'yes' : 'no', 'yes'],
      ['RSS MiB, middle third', '', middle, ''],
      ['RSS MiB, last third', '', last, isJudged ? `at most ${growthMax} of that` : 'not judged of a run so short'],
    ],
  );
  const isFlat = last <= growthMax * middle;
  if (errors > 0 || !isMoving || calls < callsPerSecondMin * seconds || (isJudged && !isFlat))
    throw new Error('the soak failed');
  console.log('the soak held');
}
