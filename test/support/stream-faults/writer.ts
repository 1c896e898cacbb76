import { setTimeout as delay } from 'node:timers/promises';
import { Endpoint, message, Route, TrafficManagerError, type TrafficManagerClient } from '../../../src/client/index.ts';
import { pick } from '../model/draw-operation.ts';

/** Creates, moves, deletes and restores routes through any replica for as long as it is let; each value is written once. */
export class Writer implements AsyncDisposable {
  readonly #replicas: readonly TrafficManagerClient[];
  readonly #paths: readonly string[];
  readonly #random: () => number;
  readonly #running: Promise<void>;
  #stopped = false;
  #resume = Promise.withResolvers<void>();
  #idle = Promise.withResolvers<void>();
  #isPaused = false;
  #values = 0;
  #acknowledged = 0;

  constructor(replicas: readonly TrafficManagerClient[], paths: readonly string[], random: () => number) {
    this.#replicas = replicas;
    this.#paths = paths;
    this.#random = random;
    this.#running = this.#run();
  }

  /** Writes that were acknowledged so far. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Resolves when nothing is under way any more. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    this.#resume = Promise.withResolvers();
    await this.#idle.promise;
  }

  resume(): void {
    this.#isPaused = false;
    this.#idle = Promise.withResolvers();
    this.#resume.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.resume();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      if (this.#isPaused) {
        this.#idle.resolve();
        await this.#resume.promise;
      }
      await this.#write();
      await delay(this.#random() * 40);
    }
  }

  async #write(): Promise<void> {
    const replica = pick(this.#random, this.#replicas);
    const [tenant = '', service = '', environment = '', version = ''] = pick(this.#random, this.#paths).split('/');
    const key = { tenant, service, environment, version };
    try {
      const draw = this.#random();
      if (draw < 0.2) {
        await replica.routes.deleteRoute({ key }, { timeoutMs: 1_000 });
      } else if (draw < 0.4) {
        await replica.routes.undeleteRoute({ key }, { timeoutMs: 1_000 });
      } else {
        this.#values += 1;
        const route = message(Route, {
          key,
          endpoints: [message(Endpoint, { url: `grpc://value-${this.#values}:1` })],
        });
        await replica.routes.updateRoute({ route, allowMissing: true }, { timeoutMs: 1_000 });
      }
      this.#acknowledged += 1;
    } catch (error) {
      // Whether it was carried out is in the log; what a route's state refuses is no loss.
      if (!(error instanceof TrafficManagerError)) throw error;
    }
  }
}
