import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { BenchOptions } from '../bench-options.ts';
import { median, printTable } from '../report.ts';
import { buildSidecar } from './built-sidecar.ts';
import type { ModuleCost } from './module-cost.ts';

const built = './dist/sidecar/sidecar.js';

/** What is loaded only when it is asked for, and what for. */
const onDemand: Readonly<Record<string, string>> = {
  nats: 'a nats:// source',
  './dist/sidecar/wire/grpc/grpc-acceptor.js': 'TM_SIDECAR_WIRE=wire, with the rest of our own engine',
  './dist/src/platform/grpc/reflection.js': 'the first call of reflection',
  re2js: 'the first policy with a regex',
};

/** What each package of a sidecar costs to load, alone in a process of its own: so what two of them share is in both. */
export async function benchModules({ rounds }: BenchOptions): Promise<void> {
  buildSidecar();
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: Record<string, string> };
  const packages = costOf(built, 1).packages.filter((name) => dependencies[name] !== undefined);
  const entryOf = (name: string): string => (name === '@bufbuild/protobuf' ? `${name}/wire` : name);
  const rows: (string | number)[][] = [];
  const add = (specifier: string, when: string): void => {
    const { loadMs, cpuMs, megabytes, files } = costOf(specifier, rounds);
    rows.push([specifier, when, loadMs, cpuMs, megabytes, String(files)]);
  };
  for (const name of ['node:http2', 'node:crypto']) add(name, 'each start: by grpc-js and others');
  for (const name of packages) add(entryOf(name), 'each start');
  add(built, 'each start: all of the above and our own, before it is bundled');
  add('./sidecar/sidecar.ts', 'the same from sources');
  for (const [specifier, when] of Object.entries(onDemand)) add(specifier, when);
  printTable(['module', 'loaded by', 'ms', 'CPU ms', 'MB', 'files'], rows);
}

function costOf(specifier: string, rounds: number): ModuleCost {
  const costs = Array.from({ length: rounds }, () => {
    const parameters = ['test/bench/sidecar/module-cost.ts', specifier];
    const { status, stdout, stderr } = spawnSync(process.execPath, parameters, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`cannot load ${specifier}: ${stderr}`);
    return JSON.parse(stdout) as ModuleCost;
  });
  const [first] = costs;
  if (first === undefined) throw new Error('one round at least');
  const middle = (read: (cost: ModuleCost) => number): number => median(costs.map(read));
  return {
    ...first,
    loadMs: middle(({ loadMs }) => loadMs),
    cpuMs: middle(({ cpuMs }) => cpuMs),
    megabytes: middle(({ megabytes }) => megabytes),
  };
}
