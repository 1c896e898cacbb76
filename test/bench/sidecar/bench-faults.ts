import { createClient } from '../../../src/client/create-client.ts';
import type { TrafficManagerClient } from '../../../src/client/create-client.ts';
import { createServiceClient } from '../../../src/client/service-client.ts';
import { ResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { CircuitBreakerState, SidecarServiceService } from '../../../src/gen/trafficmanager/v1/sidecar_service.ts';
import { exampleKey } from '../../fakes/example-configuration.ts';
import { type Conduct, type FakeControlPlane, startFakeControlPlane } from '../../fakes/fake-control-plane.ts';
import { TcpProxy } from '../../support/stream-faults/tcp-proxy.ts';
import type { BenchOptions } from '../bench-options.ts';
import { applyLoad, type LoadFigures } from '../load.ts';
import { median, printTable } from '../report.ts';
import { spawnServer, type BenchServer } from '../spawn-server.ts';

/**
 * One lookup that is no hit, so often, ms: 20 a second, each of another service. More of them, and what is measured is what a call through
 * grpc-js takes of the same core (some 0.5 ms), not what the fault does.
 */
const missIntervalMs = 50;
const flapIntervalMs = 1_000;

const stateNames: Readonly<Record<number, string>> = {
  [CircuitBreakerState.CIRCUIT_BREAKER_STATE_CLOSED]: 'closed',
  [CircuitBreakerState.CIRCUIT_BREAKER_STATE_OPEN]: 'open',
  [CircuitBreakerState.CIRCUIT_BREAKER_STATE_HALF_OPEN]: 'half_open',
};

type Fault = {
  readonly name: string;
  readonly hasMisses: boolean;
  /** Begins it; disposing ends it. */
  readonly begin: () => Disposable;
};

/**
 * Held lookups one at a time, in each round quiet, beside misses that are answered, and beside those of each fault. With `--seconds 12`
 * the breaker opens in all that it should: its window of 10 s begins with what was answered before the fault.
 */
export async function benchFaults({ rounds, seconds }: BenchOptions): Promise<void> {
  await using controlPlane = await startFakeControlPlane();
  const [host = '', port = ''] = controlPlane.address.split(':');
  await using proxy = await TcpProxy.start({ host, port: Number(port) });
  await using sidecar = await spawnServer('test/bench/resolve/sidecar-server.ts', {
    BENCH_TENANT: 'acme',
    TM_SIDECAR_SERVICES: 'cart',
    TM_SIDECAR_SOURCE: `grpc://${controlPlane.address}`,
    TM_SIDECAR_CONTROL_PLANE: `127.0.0.1:${proxy.port}`,
  });
  using client = createClient({ address: sidecar.address });
  const key = exampleKey('v1');
  await client.resolver.resolve({ key }, { timeoutMs: 60_000 });
  const request = Buffer.from(ResolveRequest.encode({ key, hashKey: '', attributes: {}, method: '' }).finish());
  const faults = faultsOf(controlPlane, proxy);
  const figures = faults.map(() => [] as LoadFigures[]);
  const states = faults.map(() => new Set<string>());
  for (let round = 0; round < rounds; round++)
    for (const [index, fault] of faults.entries()) {
      await untilClosed(client);
      using _fault = fault.begin();
      using _misses = fault.hasMisses ? startMisses(client, states[index] ?? new Set()) : undefined;
      figures[index]?.push(await loadOf(sidecar, request, seconds));
    }
  const of = (index: number, figure: keyof LoadFigures): number =>
    median((figures[index] ?? []).map((each) => each[figure]));
  printTable(
    ['control plane', 'breaker', 'p50 ms', 'x quiet', 'p99 ms', 'x quiet', 'x answering', 'server CPU us/request'],
    faults.map(({ name }, index) => [
      name,
      [...(states[index] ?? [])].join(', '),
      of(index, 'p50Ms'),
      of(index, 'p50Ms') / of(0, 'p50Ms'),
      of(index, 'p99Ms'),
      of(index, 'p99Ms') / of(0, 'p99Ms'),
      of(index, 'p99Ms') / of(1, 'p99Ms'),
      of(index, 'cpuUs'),
    ]),
  );
}

function faultsOf(controlPlane: FakeControlPlane, proxy: TcpProxy): readonly Fault[] {
  const conduct = (wanted: Conduct) => (): Disposable => {
    controlPlane.conduct = wanted;
    return { [Symbol.dispose]: () => void (controlPlane.conduct = 'answers') };
  };
  return [
    { name: 'quiet', hasMisses: false, begin: conduct('answers') },
    { name: 'answering 20 misses/s', hasMisses: true, begin: conduct('answers') },
    { name: 'slow', hasMisses: true, begin: conduct('slow') },
    { name: 'hanging', hasMisses: true, begin: conduct('hangs') },
    { name: 'refusing', hasMisses: true, begin: conduct('refuses') },
    {
      name: 'half-open',
      hasMisses: true,
      begin: () => {
        proxy.set({ kind: 'half_open' });
        return { [Symbol.dispose]: () => proxy.set({ kind: 'fair' }) };
      },
    },
    {
      name: 'flapping',
      hasMisses: true,
      begin: () => {
        const timer = setInterval(() => {
          controlPlane.conduct = controlPlane.conduct === 'answers' ? 'refuses' : 'answers';
        }, flapIntervalMs);
        const answering = conduct('refuses')();
        return {
          [Symbol.dispose]: () => {
            clearInterval(timer);
            answering[Symbol.dispose]();
          },
        };
      },
    },
  ];
}

async function loadOf(server: BenchServer, request: Buffer, seconds: number): Promise<LoadFigures> {
  const path = '/trafficmanager.v1.ResolverService/Resolve';
  return await applyLoad({ server, path, request, shape: { name: '', connections: 1, streams: 1 }, seconds });
}

let services = 0;
async function miss(client: TrafficManagerClient): Promise<boolean> {
  const key = { ...exampleKey('v1'), service: `other-${++services}` };
  return await client.resolver.resolve({ key }, { timeoutMs: 5_000 }).then(
    () => true,
    () => false,
  );
}

/** Notes, now and then, how the breaker is. */
function startMisses(client: TrafficManagerClient, states: Set<string>): Disposable {
  const { getStatus } = createServiceClient(client.transport, SidecarServiceService);
  const timer = setInterval(() => {
    void miss(client);
    if (services % 4 !== 0) return;
    void getStatus({}).then(({ circuitBreakers: [breaker] }) => {
      if (breaker !== undefined) states.add(stateNames[breaker.breakerState] ?? '');
    });
  }, missIntervalMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** What the fault before has left behind is over. */
async function untilClosed(client: TrafficManagerClient): Promise<void> {
  const { getStatus } = createServiceClient(client.transport, SidecarServiceService);
  for (;;) {
    const isAnswered = await miss(client);
    const { circuitBreakers } = await getStatus({});
    const [breaker] = circuitBreakers;
    if (isAnswered && breaker?.breakerState === CircuitBreakerState.CIRCUIT_BREAKER_STATE_CLOSED) return;
  }
}
