import { parseArgs } from 'node:util';
import type { BenchOptions } from './bench-options.ts';
import { benchHistory } from './history/bench-history.ts';
import { benchBreaker } from './lookup/bench-breaker.ts';
import { benchLookup } from './lookup/bench-lookup.ts';
import { benchOverload } from './overload/bench-overload.ts';
import { benchPolicy } from './policy/bench-policy.ts';
import { benchResolve } from './resolve/bench-resolve.ts';
import { benchChanges } from './sidecar/bench-changes.ts';
import { benchFaults } from './sidecar/bench-faults.ts';
import { benchModules } from './sidecar/bench-modules.ts';
import { benchSidecar } from './sidecar/bench-sidecar.ts';
import { benchBoot } from './stream/bench-boot.ts';
import { benchPublish } from './stream/bench-publish.ts';
import { benchSoak } from './soak/bench-soak.ts';
import { benchStream } from './stream/bench-stream.ts';
import { benchTakeover } from './stream/bench-takeover.ts';
import { benchWatch } from './watch/bench-watch.ts';
import { benchAttacks } from './wire/bench-attacks.ts';
import { benchInterop } from './wire/bench-interop.ts';
import { benchWire } from './wire/bench-wire.ts';
import { benchWireClient } from './wire/bench-wire-client.ts';
import { benchWireSockets } from './wire/bench-wire-sockets.ts';
import { benchWireTail } from './wire/bench-wire-tail.ts';
import { benchWireVaried } from './wire/bench-wire-varied.ts';
import { benchWrites } from './writes/bench-writes.ts';

/** `npm run bench -- <name>`: figures that will be asked for again. Ratios inside one run are what counts: machines are noisy. */
const benches: Readonly<
  Record<string, { readonly about: string; readonly run: (options: BenchOptions) => Promise<void> }>
> = {
  boot: {
    about: 'ms from nothing to a proven snapshot by NATS alone: 100,000 routes, and 2,000 of one of 50 tenants',
    run: benchBoot,
  },
  attacks: {
    about: 'each known attack on HTTP/2 for some seconds, beside a client that behaves: its p99, and memory',
    run: benchAttacks,
  },
  breaker: {
    about:
      'what opossum costs a call, and lookups a second with the breaker closed and open: of held routes, and misses',
    run: benchBreaker,
  },
  changes: {
    about: 'lookups one at a time while 1,000 changes/s arrive, beside none, and what a change costs a sidecar',
    run: benchChanges,
  },
  faults: {
    about:
      'p50 and p99 of held lookups while the control plane is slow, hangs, refuses, is half-open and flaps, beside quiet',
    run: benchFaults,
  },
  history: {
    about:
      'pages of 1,000,000 changes by every filter, of 100,000 routes now and in the past, and what the indexes take',
    run: benchHistory,
  },
  lookup: {
    about: 'ns and bytes of a lookup inside the sidecar, by key, split, rules and hash key, and of a change applied',
    run: benchLookup,
  },
  interop: {
    about: 'no figures: every program here that speaks HTTP/2 or gRPC, against our own engine',
    run: benchInterop,
  },
  modules: {
    about: 'what each package of a sidecar costs to load: ms, CPU, memory, files',
    run: benchModules,
  },
  overload: {
    about:
      'ten times what a sidecar can answer, and lookups that must wait beside those that need not: goodput, p99, memory',
    run: benchOverload,
  },
  policy: {
    about: 'ns a lookup takes to be decided: by key, default, split and ten rules with regexes',
    run: benchPolicy,
  },
  publish: {
    about:
      'from a commit to JetStream at 20, 300 and 1,000 changes a second, and what a change costs the control plane',
    run: benchPublish,
  },
  resolve: {
    about: "Resolve of a sidecar beside a bare grpc-js server that answers the same bytes' worth, batches, and streams",
    run: benchResolve,
  },
  sidecar: {
    about: "a sidecar's memory by routes and after 2,000 lookups/s, and its start from disk",
    run: benchSidecar,
  },
  soak: {
    about:
      'a sidecar on our own engine at half load for --seconds 3600, everything checked: errors, memory, and pauses each minute',
    run: benchSoak,
  },
  stream: {
    about: 'ms from a commit to the sources of 1, 100 and 500 sidecars at 20/s, and of one at 300/s and 1,000/s',
    run: benchStream,
  },
  takeover: {
    about: 'ms from kill -9 of the publishing control plane to a change that the other one has stored, 8 times',
    run: benchTakeover,
  },
  watch: {
    about: 'a change to the last of 1,000 and 10,000 watchers, and what watchers and routes take of a replica',
    run: benchWatch,
  },
  wire: {
    about: 'our own engine, and the sidecar on it, beside grpc-js, nginx and haproxy: as server and as proxy',
    run: benchWire,
  },
  'wire-client': {
    about: 'what a call over our own engine costs its caller beside grpc-js, and 1,000 idle connections a server',
    run: benchWireClient,
  },
  'wire-sockets': {
    about:
      'our own engine, and the sidecar on it, over unix sockets and over TLS, beside grpc-js and nginx over the same',
    run: benchWireSockets,
  },
  'wire-tail': {
    about:
      'p99 at a steady 2,000 calls/s beside grpc-js and nginx, pauses of the garbage collector, and what a call allocates',
    run: benchWireTail,
  },
  'wire-varied': {
    about: 'other keys and metadata in each call: single lookups, and streams of 1 and of 16, by CPU of the server',
    run: benchWireVaried,
  },
  writes: {
    about: 'writes through the API beside one raw statement that writes the same rows, and batches of 10,000',
    run: benchWrites,
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
