import { ResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import type { BenchOptions } from '../bench-options.ts';
import { applyLoad, type LoadFigures } from '../load.ts';
import type { ProcessFigures } from '../process-figures.ts';
import { median, printTable } from '../report.ts';
import { benchKey } from '../resolve/bench-routes.ts';
import type { BenchServer } from '../spawn-server.ts';
import { resolvePath, startWireServers } from './wire-servers.ts';

const perSecond = 2_000;
const shape = { name: `${perSecond}/s`, connections: 4, streams: 32, perSecond };

type Run = LoadFigures & { readonly figures: ProcessFigures | undefined };

/** How late the late ones are at a steady rate, what of that is the collector's, and what it has to collect. */
export async function benchWireTail({ rounds, seconds, routes }: BenchOptions): Promise<void> {
  await using started = new AsyncDisposableStack();
  const servers = await startWireServers(started, routes);
  const key = benchKey(Math.floor(routes / 2));
  const request = Buffer.from(ResolveRequest.encode({ key, hashKey: '', attributes: {}, method: '' }).finish());
  const runs = new Map<string, Run[]>([...servers.keys()].map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, server] of servers) {
      await figuresOf(server);
      const load = await applyLoad({ server, path: resolvePath, request, shape, seconds });
      runs.get(name)?.push({ ...load, figures: await figuresOf(server) });
    }
  }
  const of = (name: string, figure: (run: Run) => number): number => median((runs.get(name) ?? []).map(figure));
  const [first = ''] = servers.keys();
  const p99 = (name: string): number => of(name, (run) => run.p99Ms);
  printTable(
    [
      'load',
      'server',
      'requests/s',
      'p50 ms',
      'p99 ms',
      'p99 / the first',
      'CPU us/request',
      'pauses/s',
      'longest ms',
      'ms in all/s',
      'heap bytes/request',
      'RSS MiB',
    ],
    [...servers.keys()].map((name) => [
      shape.name,
      name,
      of(name, (run) => run.perSecond),
      of(name, (run) => run.p50Ms),
      p99(name),
      p99(name) / p99(first),
      of(name, (run) => run.cpuUs),
      // Asked for before the warm-up of a second, too.
      of(name, ({ figures }) => (figures?.pauses.count ?? Number.NaN) / (seconds + 1)),
      of(name, ({ figures }) => figures?.pauses.maxMs ?? Number.NaN),
      of(name, ({ figures }) => (figures?.pauses.totalMs ?? Number.NaN) / (seconds + 1)),
      of(name, (run) => (run.figures?.allocatedBytes ?? Number.NaN) / (run.perSecond * (seconds + 1))),
      of(name, ({ figures }) => (figures?.rssBytes ?? Number.NaN) / 1_048_576),
    ]),
  );
}

/** Undefined of servers that are not ours. */
async function figuresOf(server: BenchServer): Promise<ProcessFigures | undefined> {
  return (await server.ask('figures').catch(() => undefined)) as ProcessFigures | undefined;
}
