import { setTimeout as delay } from 'node:timers/promises';
import { createClient, message, TrafficManagerError, type TrafficManagerClient } from '../../../src/client/index.ts';
import { ResolveRequest, type ResolveResult } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { ErrorInfo } from '../../../src/gen/google/rpc/status.ts';
import type { Observation, Observed } from './check-observations.ts';

/** Pause between two looks, ms: with 24 routes and three sidecars about 2,000 lookups a second. */
const pauseMs = 30;

/** Asks one process of a sidecar for every route, over and over, and writes down whatever changes. */
export class Observer implements AsyncDisposable {
  readonly #sidecar: string;
  readonly #client: TrafficManagerClient;
  readonly #requests: ResolveRequest[];
  readonly #paths: readonly string[];
  readonly #observed: Map<string, Observation[]>;
  readonly #running: Promise<void>;
  #stopped = false;
  #isPaused = false;
  #answers = 0;
  #slowestMs = 0;

  constructor(sidecar: string, address: string, paths: readonly string[]) {
    this.#sidecar = sidecar;
    this.#client = createClient({ address, defaults: { timeoutMs: 2_000 } });
    this.#paths = paths;
    this.#observed = new Map(paths.map((path) => [path, []]));
    this.#requests = paths.map((path) => {
      const [tenant = '', service = '', environment = '', version = ''] = path.split('/');
      return message(ResolveRequest, { key: { tenant, service, environment, version } });
    });
    this.#running = this.#run();
  }

  get observed(): Observed[] {
    return [...this.#observed].map(([path, observations]) => ({ sidecar: this.#sidecar, path, observations }));
  }

  /** Lookups answered so far. */
  get answers(): number {
    return this.#answers;
  }

  get slowestMs(): number {
    return this.#slowestMs;
  }

  /** What it said last of each route. */
  latest(): Map<string, Observation | undefined> {
    return new Map([...this.#observed].map(([path, observations]) => [path, observations.at(-1)]));
  }

  /** Its process is frozen: it cannot answer, and that says nothing. */
  pause(isPaused: boolean): void {
    this.#isPaused = isPaused;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#client.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      if (!this.#isPaused) await this.#look();
      await delay(pauseMs);
    }
  }

  async #look(): Promise<void> {
    const startedAtMs = performance.now();
    try {
      const { results } = await this.#client.resolver.batchResolve({ requests: this.#requests });
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - startedAtMs);
      for (const [index, path] of this.#paths.entries()) this.#note(path, observationOf(results[index]));
    } catch (error) {
      if (this.#stopped || this.#isPaused || !(error instanceof TrafficManagerError)) return;
      for (const path of this.#paths)
        this.#note(path, { kind: 'unanswered', reason: `${error.code} ${error.message}` });
    }
  }

  #note(path: string, observation: Observation): void {
    if (observation.kind !== 'unanswered') this.#answers++;
    const observations = this.#observed.get(path) ?? [];
    if (JSON.stringify(observations.at(-1)) !== JSON.stringify(observation)) observations.push(observation);
  }
}

function observationOf(answer: ResolveResult | undefined): Observation {
  const result = answer?.result;
  if (result?.$case === 'response') {
    const { route } = result.value;
    return { kind: 'found', revision: Number(route?.revision), url: route?.endpoints[0]?.url ?? '' };
  }
  const details = result?.value.details.map(({ value }) => ErrorInfo.decode(value).reason) ?? [];
  if (details.includes('ROUTE_NOT_FOUND')) return { kind: 'absent' };
  return { kind: 'unanswered', reason: `${details[0] ?? ''} ${result?.value.message ?? ''}` };
}
