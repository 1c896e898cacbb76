import { watcherLimit } from './watch-errors.ts';

export type WatcherPlacesOptions = {
  /** Of this process, all tenants together. */
  readonly watchersMax: number;
  /** Of a tenant. */
  readonly watchersMaxOf: (tenant: string) => number;
};

/** How many watchers there may be. A place is taken before anything is done for a watcher, and given back at its end. */
export class WatcherPlaces {
  readonly #options: WatcherPlacesOptions;
  readonly #byTenant = new Map<string, number>();
  #taken = 0;

  constructor(options: WatcherPlacesOptions) {
    this.#options = options;
  }

  /** Throws WATCHER_LIMIT. */
  take(tenant: string): Disposable {
    const { watchersMax, watchersMaxOf } = this.#options;
    if (this.#taken >= watchersMax) throw watcherLimit('this server', watchersMax);
    const ofTenant = this.#byTenant.get(tenant) ?? 0;
    const ofTenantMax = watchersMaxOf(tenant);
    if (ofTenant >= ofTenantMax) throw watcherLimit(`tenant ${tenant}`, ofTenantMax);
    this.#taken++;
    this.#byTenant.set(tenant, ofTenant + 1);
    return { [Symbol.dispose]: () => this.#giveBack(tenant) };
  }

  #giveBack(tenant: string): void {
    this.#taken--;
    const left = (this.#byTenant.get(tenant) ?? 1) - 1;
    if (left === 0) this.#byTenant.delete(tenant);
    else this.#byTenant.set(tenant, left);
  }
}
