import { createClient, message, Tenant, type TrafficManagerClient } from '../../../src/client/index.ts';
import { provideNatsServer, type TestNats } from '../nats.ts';
import { createDatabase, startTestPostgres, type TestPostgres } from '../postgres.ts';
import { Actor } from './actor.ts';
import type { Observed } from './check-observations.ts';
import { Observer } from './observer.ts';
import { TcpProxy } from './tcp-proxy.ts';

const hourMs = 3_600_000;
const tenants = ['red', 'blue'];

/** Routes that are written and asked for. */
export const stagePaths = tenants.flatMap((tenant) =>
  ['cart', 'order'].flatMap((service) =>
    ['v1', 'v2', 'v3', 'v4'].map((version) => `${tenant}/${service}/production/${version}`),
  ),
);

/** Everything that faults are made of: two control planes, three sidecars, a Postgres and a NATS server, and a network between each two. */
export class Stage implements AsyncDisposable {
  readonly #owned = new AsyncDisposableStack();
  readonly #observers = new Map<Actor, Observer>();
  readonly #past: Observed[] = [];
  #pastAnswers = 0;
  #slowestMs = 0;
  readonly postgres: TestPostgres;
  readonly nats: TestNats;
  readonly databaseUrl: string;
  readonly controlPlanes: Actor[] = [];
  readonly sidecars: Actor[] = [];
  /** One for each control plane, past all broken networks. */
  readonly clients: TrafficManagerClient[] = [];

  private constructor(postgres: TestPostgres, nats: TestNats, databaseUrl: string) {
    this.postgres = postgres;
    this.nats = nats;
    this.databaseUrl = databaseUrl;
  }

  static async start(): Promise<Stage> {
    await using owned = new AsyncDisposableStack();
    const postgres = owned.use(await startTestPostgres({ durable: true }));
    const nats = owned.use(await (await provideNatsServer()).start());
    const { url } = await createDatabase(postgres.url);
    const stage = owned.use(new Stage(postgres, nats, url));
    await stage.#startAll();
    stage.#owned.use(owned.move());
    return stage;
  }

  /** Lookups that were answered. */
  get answers(): number {
    return [...this.#observers.values()].reduce((total, { answers }) => total + answers, this.#pastAnswers);
  }

  /** The slowest of all answers (each of all routes together), ms. */
  get slowestMs(): number {
    return Math.max(this.#slowestMs, ...[...this.#observers.values()].map(({ slowestMs }) => slowestMs));
  }

  get observed(): Observed[] {
    return [...this.#past, ...[...this.#observers.values()].flatMap(({ observed }) => observed)];
  }

  /** Who asks each sidecar's present process. */
  get observers(): readonly Observer[] {
    return [...this.#observers.values()];
  }

  async startSidecar(sidecar: Actor): Promise<void> {
    await sidecar.start();
    this.#observers.set(sidecar, new Observer(sidecar.name, sidecar.address, stagePaths));
  }

  async killSidecar(sidecar: Actor): Promise<void> {
    const observer = this.#observers.get(sidecar);
    await observer?.[Symbol.asyncDispose]();
    this.#past.push(...(observer?.observed ?? []));
    this.#pastAnswers += observer?.answers ?? 0;
    this.#slowestMs = Math.max(this.#slowestMs, observer?.slowestMs ?? 0);
    this.#observers.delete(sidecar);
    await sidecar.kill();
  }

  /** A frozen sidecar cannot answer, and is not asked. */
  freezeSidecar(sidecar: Actor): void {
    this.#observers.get(sidecar)?.pause(true);
    sidecar.freeze();
  }

  thawSidecar(sidecar: Actor): void {
    sidecar.thaw();
    this.#observers.get(sidecar)?.pause(false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const observer of this.#observers.values()) await observer[Symbol.asyncDispose]();
    await this.#owned.disposeAsync();
  }

  async #startAll(): Promise<void> {
    for (const skewMs of [0, hourMs]) await this.#addControlPlane(skewMs);
    for (const tenant of tenants) await this.clients[0]?.tenants.createTenant({ tenant: message(Tenant, { tenant }) });
    for (const skewMs of [0, hourMs, -hourMs]) await this.#addSidecar(skewMs);
  }

  async #addControlPlane(skewMs: number): Promise<void> {
    const networks = { nats: await this.#network(this.nats.url), postgres: await this.#network(this.databaseUrl) };
    const name = `control-plane-${this.controlPlanes.length + 1}`;
    const environment = {
      DATABASE_URL: networks.postgres.through(this.databaseUrl),
      TM_NATS_URL: networks.nats.through(this.nats.url),
      TM_DATABASE_TIMEOUT_MS: '2000',
      TM_SHRINK_PERCENT: '100',
    };
    const actor = new Actor({ name, program: 'controlPlane', environment, networks, skewMs });
    this.controlPlanes.push(this.#owned.use(actor));
    await actor.start();
    this.clients.push(this.#owned.use(createClient({ address: actor.address })));
  }

  async #addSidecar(skewMs: number): Promise<void> {
    const networks = { nats: await this.#network(this.nats.url) };
    const environment = {
      TM_SIDECAR_SOURCE: networks.nats.through(this.nats.url),
      // Nowhere: whatever it answers, it has from the stream.
      TM_SIDECAR_CONTROL_PLANE: '127.0.0.1:1',
      TM_SIDECAR_TENANTS: tenants.join(),
    };
    const name = `sidecar-${this.sidecars.length + 1}`;
    const actor = new Actor({ name, program: 'sidecar', environment, networks, skewMs });
    this.sidecars.push(this.#owned.use(actor));
    await this.startSidecar(actor);
  }

  async #network(url: string): Promise<TcpProxy> {
    return this.#owned.use(await TcpProxy.start({ host: '127.0.0.1', port: Number(new URL(url).port) }));
  }
}
