import type { Call } from './operation.ts';
import type { TenantLog } from './tenant-log.ts';

/** Up to where a tenant can have come at a moment: no write is committed before somebody has asked for it. */
export class CommitTimes {
  /** By commit: its last revision, and the latest begin of a write that is in it or before it; so both only grow. */
  readonly #begun: { readonly last: number; readonly at: number }[] = [];

  constructor(log: TenantLog, calls: readonly Call[]) {
    const firstAttempts = new Map<string, number>();
    for (const { operation, startedAt } of calls) {
      firstAttempts.set(operation.id, Math.min(startedAt, firstAttempts.get(operation.id) ?? Infinity));
    }
    let at = -1;
    for (const { last, changes } of log.commits) {
      at = Math.max(at, firstAttempts.get(changes[0]?.correlationId ?? '') ?? -1);
      this.#begun.push({ last, at });
    }
  }

  newestAt(moment: number): number {
    let low = 0;
    let high = this.#begun.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#begun[middle]?.at ?? Infinity) < moment) low = middle + 1;
      else high = middle;
    }
    return this.#begun[low - 1]?.last ?? 0;
  }
}
