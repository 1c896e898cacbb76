import { Bulkhead, type BulkheadOptions } from './bulkhead.ts';

/**
 * One bulkhead for all calls, and before it one for each tenant, smaller: so a tenant whose calls hang or come in thousands fills its own
 * places and its own waiting room, and at most those stand before any other tenant's call.
 */
export class TenantBulkheads {
  readonly #perTenant: BulkheadOptions;
  readonly #all: Bulkhead;
  /** Of tenants with calls under way: bounded by these. */
  readonly #tenants = new Map<string, { readonly bulkhead: Bulkhead; calls: number }>();

  constructor({ perTenant, all }: { perTenant: BulkheadOptions; all: BulkheadOptions }) {
    this.#perTenant = perTenant;
    this.#all = new Bulkhead(all);
  }

  /** As {@link Bulkhead.run}. */
  async run<Result>(tenant: string, call: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    let own = this.#tenants.get(tenant);
    if (own === undefined) this.#tenants.set(tenant, (own = { bulkhead: new Bulkhead(this.#perTenant), calls: 0 }));
    own.calls++;
    try {
      return await own.bulkhead.run(() => this.#all.run(call, signal), signal);
    } finally {
      own.calls--;
      if (own.calls === 0) this.#tenants.delete(tenant);
    }
  }
}
