import { mkdtempSync, rmSync } from 'node:fs';
import { constants, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sidecarRuntime } from '../../../deploy/embedded/sidecar-runtime.ts';
import { ResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import type { BenchOptions } from '../bench-options.ts';
import { applyLoad, type LoadFigures } from '../load.ts';
import { median, printTable } from '../report.ts';
import { benchKey } from '../resolve/bench-routes.ts';
import { spawnServer, type BenchServer } from '../spawn-server.ts';
import { isHeld, startFollowing } from './following-sidecar.ts';

const changesPerSecond = 1_000;
/** Of changes before anything is measured: it takes some 10,000 of them until what applies them is compiled as it stays. */
const warmUpSeconds = 10;

type Stage = { readonly source: BenchServer; readonly sidecar: BenchServer; readonly options: BenchOptions };

/** Lookups one at a time beside changes, which go to disk too, and what a change costs. Quiet and busy take turns on one sidecar. */
export async function benchChanges(options: BenchOptions): Promise<void> {
  // As in a container, where JavaScript runs with these settings.
  Object.assign(process.env, sidecarRuntime);
  const directory = mkdtempSync(join(tmpdir(), 'bench-state-'));
  try {
    // Not on the sidecar's core: lookups would wait for the source, which was a third of their p99. And behind the load on its own.
    await using source = await spawnServer(
      'test/bench/resolve/snapshot-server.ts',
      { BENCH_ROUTES: String(options.routes) },
      1,
    );
    setPriority(source.pid, constants.priority.PRIORITY_BELOW_NORMAL);
    await using sidecar = await startFollowing(source, { TM_SIDECAR_STATE_DIR: directory });
    await isHeld(sidecar, options.routes);
    const stage: Stage = { source, sidecar, options };
    await source.ask(String(changesPerSecond));
    await loadOf(stage, warmUpSeconds);
    await measureLookups(stage);
    await measureChanges(stage);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function loadOf({ sidecar, options }: Stage, seconds: number): Promise<LoadFigures> {
  const request = Buffer.from(
    ResolveRequest.encode({ key: benchKey(options.routes >> 1), hashKey: '', attributes: {}, method: '' }).finish(),
  );
  const path = '/trafficmanager.v1.ResolverService/Resolve';
  const shape = { name: '', connections: 1, streams: 1 };
  return await applyLoad({ server: sidecar, path, request, shape, seconds });
}

async function measureLookups(stage: Stage): Promise<void> {
  const { source, options } = stage;
  const figures = { quiet: [] as LoadFigures[], busy: [] as LoadFigures[] };
  for (let round = 0; round < options.rounds; round++)
    for (const kind of ['quiet', 'busy'] as const) {
      await source.ask(kind === 'busy' ? String(changesPerSecond) : '0');
      figures[kind].push(await loadOf(stage, options.seconds));
    }
  const of = (kind: 'quiet' | 'busy', figure: keyof LoadFigures): number[] => figures[kind].map((each) => each[figure]);
  const rows = (['quiet', 'busy'] as const).map((kind) => [
    kind === 'busy' ? '1,000 changes/s' : 'no changes',
    '',
    median(of(kind, 'p50Ms')),
    median(of(kind, 'p99Ms')),
    median(of(kind, 'p99Ms')) / median(of('quiet', 'p99Ms')),
    Math.min(...of(kind, 'p99Ms')),
    Math.min(...of(kind, 'p99Ms')) / Math.min(...of('quiet', 'p99Ms')),
    median(of(kind, 'cpuUs')),
  ]);
  const headings = ['p50 ms', 'p99 ms', 'x quiet', 'lowest p99', 'x quiet', 'server CPU us/request'];
  printTable(['lookups one at a time', '', ...headings], rows);
}

/** Without lookups: all that the process does because changes arrive, in all its threads. */
async function measureChanges({ source, sidecar, options }: Stage): Promise<void> {
  const cpuUs: Record<'quiet' | 'busy', number[]> = { quiet: [], busy: [] };
  for (let round = 0; round < options.rounds; round++)
    for (const kind of ['quiet', 'busy'] as const) {
      await source.ask(kind === 'busy' ? String(changesPerSecond) : '0');
      await sleep(500);
      const before = sidecar.cpuUs();
      await sleep(options.seconds * 1_000);
      cpuUs[kind].push(sidecar.cpuUs() - before);
    }
  const perChange = (median(cpuUs.busy) - median(cpuUs.quiet)) / (changesPerSecond * options.seconds);
  printTable(['a change', '', 'CPU us, all threads'], [['applied, kept and saved', '', perChange]]);
}
