import { DomainError } from '../../src/domain/domain-error.ts';

export type LookupAdmissionOptions = {
  /** Lookups that wait for something, of all tenants. */
  readonly waitingMax: number;
  /** Of one tenant. */
  readonly waitingPerTenantMax: number;
  /** After which those that are turned away may come again, ms. */
  readonly retryDelayMs: number;
};

/**
 * How many lookups may wait: for a snapshot, a revision, or the control plane. Those that memory answers wait for nothing and are not
 * counted; each that waits holds its request, its stream and its timers, about 10 KB, for as long as its caller likes.
 */
export class LookupAdmission {
  readonly #options: LookupAdmissionOptions;
  /** The same for all: a stack of its own is 4 % of a core when thousands are turned away. */
  readonly #overloaded: DomainError;
  readonly #waitingOf = new Map<string, number>();
  #waiting = 0;
  #shed = 0;

  constructor(options: LookupAdmissionOptions) {
    this.#options = options;
    const { retryDelayMs } = options;
    this.#overloaded = new DomainError('OVERLOADED', 'too many lookups are waiting', { retryDelayMs });
  }

  /** Turned away since the start. */
  get shed(): number {
    return this.#shed;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Takes a place until it is disposed; throws OVERLOADED when there is none. */
  enter(tenant: string): Disposable {
    const { waitingMax, waitingPerTenantMax } = this.#options;
    const own = this.#waitingOf.get(tenant) ?? 0;
    if (this.#waiting >= waitingMax || own >= waitingPerTenantMax) {
      this.#shed++;
      throw this.#overloaded;
    }
    this.#waiting++;
    this.#waitingOf.set(tenant, own + 1);
    return { [Symbol.dispose]: () => this.#leave(tenant) };
  }

  #leave(tenant: string): void {
    this.#waiting--;
    const own = (this.#waitingOf.get(tenant) ?? 1) - 1;
    if (own === 0) this.#waitingOf.delete(tenant);
    else this.#waitingOf.set(tenant, own);
  }
}
