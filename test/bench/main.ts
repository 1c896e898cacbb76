import { parseArgs } from 'node:util';
import type { BenchOptions } from './bench-options.ts';
import { benchResolve } from './resolve/bench-resolve.ts';

/** `npm run bench -- <name>`: figures that will be asked for again. Ratios inside one run are what counts: machines are noisy. */
const benches: Readonly<
  Record<string, { readonly about: string; readonly run: (options: BenchOptions) => Promise<void> }>
> = {
  resolve: {
    about: "unary Resolve of a sidecar beside a bare grpc-js server that answers the same bytes' worth",
    run: benchResolve,
  },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    routes: { type: 'string', default: '10000' },
  },
});
const bench = benches[positionals[0] ?? ''];
if (bench === undefined) {
  console.error(`usage: npm run bench -- NAME [--rounds 3] [--seconds 3] [--routes 10000]`);
  for (const [name, { about }] of Object.entries(benches)) console.error(`  ${name}: ${about}`);
  process.exit(2);
}
await bench.run({ rounds: Number(values.rounds), seconds: Number(values.seconds), routes: Number(values.routes) });
process.exit(0);
