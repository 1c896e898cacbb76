import { createClient } from '../../../src/client/create-client.ts';
import type { ChannelKind } from '../../../src/client/channel.ts';
import { benchKey } from '../resolve/bench-routes.ts';

// As client-process.ts, but by the client library: Resolve with messages of their types, over BENCH_CLIENT.
const depth = Number(process.env['BENCH_DEPTH']);
const address = process.env['BENCH_ADDRESS'] ?? '';
const client = createClient({ address, channel: process.env['BENCH_CLIENT'] as ChannelKind });
const key = benchKey(1);

async function loop(endMs: number): Promise<number> {
  let calls = 0;
  for (; performance.now() < endMs; calls++) await client.resolver.resolve({ key }, { timeoutMs: 10_000 });
  return calls;
}

async function measure(seconds: number): Promise<{ calls: number; cpuUs: number }> {
  const before = process.cpuUsage();
  const endMs = performance.now() + seconds * 1_000;
  const calls = (await Promise.all(Array.from({ length: depth }, () => loop(endMs)))).reduce((sum, each) => sum + each);
  const { user, system } = process.cpuUsage(before);
  return { calls, cpuUs: (user + system) / calls };
}

process.send?.({ address });
process.once('disconnect', () => process.exit(0));
process.on('message', (seconds) => {
  void measure(1)
    .then(() => measure(Number(seconds)))
    .then((figures) => process.send?.(figures));
});
