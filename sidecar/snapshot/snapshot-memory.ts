import { LRUCache } from 'lru-cache';
import { sidecarLimits } from '../limits.ts';
import { groupBytesMin, type Group } from './group.ts';
import { Recency } from './recency.ts';
import { Slabs } from './slabs.ts';
import { type Shelf, TenantMemory } from './tenant-memory.ts';

export type SnapshotMemoryOptions = {
  readonly bytesMax: number;
  /** Default: that of the limits. */
  readonly groupsMax?: number;
} & Partial<Pick<Shelf, 'services' | 'onUnheldChange'>>;

/**
 * The configuration that a sidecar holds, of all its tenants together, in one LRU bounded in bytes and entries. What does not
 * fit is dropped, the least recently asked for first, and is then *unknown*, not *absent*: {@link TenantMemory.isComplete}.
 */
export class SnapshotMemory {
  readonly #shelf: Shelf;
  readonly #tenants = new Map<string, TenantMemory>();
  #evictions = 0;

  constructor(options: SnapshotMemoryOptions) {
    const { bytesMax, groupsMax = sidecarLimits.groupsMax, services, onUnheldChange = () => {} } = options;
    const slabs = new Slabs();
    const groups = new LRUCache<string, Group>({
      // Only where bytes alone would let in more: lru-cache sets a place aside for each of `max`, 15 ms of every start for 144,632.
      max: bytesMax / groupBytesMin > groupsMax ? groupsMax : 0,
      maxSize: bytesMax,
      sizeCalculation: (group) => group.bytes,
      dispose: (group, key, reason) => {
        const memory = this.#tenants.get(key.slice(0, key.indexOf('/')));
        memory?.left(group);
        group.release(slabs);
        if (reason !== 'evict') return;
        this.#evictions++;
        memory?.forget(key);
      },
    });
    this.#shelf = { groups, slabs, recency: new Recency(bytesMax), services, onUnheldChange };
  }

  /** The tenant's memory; empty and not ready until its first snapshot. */
  tenant(tenant: string): TenantMemory {
    let memory = this.#tenants.get(tenant);
    if (memory === undefined) {
      memory = new TenantMemory(tenant, this.#shelf);
      this.#tenants.set(tenant, memory);
    }
    return memory;
  }

  /** Lets go of a tenant that turned out not to exist, and of whatever is held of it. */
  release(tenant: string): void {
    this.#tenants.get(tenant)?.clear();
    this.#tenants.delete(tenant);
  }

  /** Bytes held, about. */
  get bytes(): number {
    return this.#shelf.groups.calculatedSize;
  }

  /** What it holds and has dropped, for people. */
  get figures(): { readonly groups: number; readonly slabBytes: number; readonly evictions: number } {
    const { groups, slabs } = this.#shelf;
    return { groups: groups.size, slabBytes: slabs.bytes, evictions: this.#evictions };
  }
}
