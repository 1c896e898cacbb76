import { applyLoad, type LoadFigures, type LoadShape } from '../load.ts';
import type { BenchOptions } from '../bench-options.ts';
import { median } from '../report.ts';
import type { BenchServer } from '../spawn-server.ts';

/** One server, and the call that it is measured by. */
export type Target = {
  readonly name: string;
  readonly server: BenchServer;
  readonly path: string;
  readonly request: Buffer;
  /** Over TLS. */
  readonly isSecure?: boolean;
};

/** One at a time, and as many as keep a server busy. */
export const loadShapes: readonly LoadShape[] = [
  { name: '4 connections x 32 streams', connections: 4, streams: 32 },
  { name: '1 connection, 1 at a time', connections: 1, streams: 1 },
];

export const comparisonHeadings = [
  'load',
  'server',
  'requests/s',
  'p50 ms',
  'p99 ms',
  'CPU us/request',
  'CPU of the first / this',
  'p50 of this / the first',
];

/** Rows of servers beside each other, round by round, so that the noise of the machine is the same for all. */
export async function compareServers(
  targets: readonly Target[],
  shape: LoadShape,
  { rounds, seconds }: BenchOptions,
): Promise<(string | number)[][]> {
  const figures = new Map<string, LoadFigures[]>(targets.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const { name, ...target } of targets) figures.get(name)?.push(await applyLoad({ ...target, shape, seconds }));
  }
  const of = (name: string, figure: keyof LoadFigures): number =>
    median((figures.get(name) ?? []).map((run) => run[figure]));
  const first = targets[0]?.name ?? '';
  return targets.map(({ name }) => [
    shape.name,
    name,
    of(name, 'perSecond'),
    of(name, 'p50Ms'),
    of(name, 'p99Ms'),
    of(name, 'cpuUs'),
    of(first, 'cpuUs') / of(name, 'cpuUs'),
    of(name, 'p50Ms') / of(first, 'p50Ms'),
  ]);
}
