import { LRUCache } from 'lru-cache';
import type { DomainError } from '../../src/domain/domain-error.ts';
import type { Freshness } from '../../src/domain/freshness.ts';
import type { Lookup, Resolution } from '../../src/domain/resolve.ts';
import { sidecarLimits } from '../limits.ts';
import { bytesOfPolicy } from '../snapshot/policy-bytes.ts';

/** What the control plane said to a lookup. */
export type Said =
  | { readonly kind: 'found'; readonly resolution: Resolution; readonly freshness: Freshness }
  /** It knows that there is nothing. */
  | { readonly kind: 'absent'; readonly error: DomainError };

/** An answer of the control plane, kept for those who ask the same. */
export type Kept = {
  readonly lookup: Lookup;
  readonly said: Said;
  /** When it was asked for, monotonic ms: the answer is not older than its own staleness was then. */
  readonly askedAtMs: number;
};

/** Answers of the control plane by lookup, bounded; those of a service in an environment can be dropped together. */
export class AnswerCache {
  readonly #kept = new LRUCache<string, Kept>({
    max: sidecarLimits.answers.countMax,
    maxSize: sidecarLimits.answers.bytesMax,
    sizeCalculation: ({ said, lookup }, key) => bytesOf(said) + bytesOfLookup(lookup, key),
    dispose: ({ lookup }, key) => this.#unlist(groupOf(lookup), key),
  });
  /** Keys by the service in the environment that they are about. */
  readonly #keysOf = new Map<string, Set<string>>();

  get(key: string): Kept | undefined {
    return this.#kept.get(key);
  }

  set(key: string, kept: Kept): void {
    this.#kept.set(key, kept);
    if (!this.#kept.has(key)) return;
    const group = groupOf(kept.lookup);
    let keys = this.#keysOf.get(group);
    if (keys === undefined) this.#keysOf.set(group, (keys = new Set()));
    keys.add(key);
  }

  /** Something of this service in this environment has changed. */
  drop(about: Pick<Lookup, 'tenant' | 'service' | 'environment'>): void {
    for (const key of this.#keysOf.get(groupOf(about)) ?? []) this.#kept.delete(key);
  }

  /** Anything of this tenant may have changed. */
  dropTenant(tenant: string): void {
    for (const [key] of Array.from(this.ofTenant(tenant))) this.#kept.delete(key);
  }

  /** A tenant's answers, those that were asked for last first. */
  *ofTenant(tenant: string): IterableIterator<[string, Kept]> {
    for (const entry of this.#kept.entries()) if (entry[1].lookup.tenant === tenant) yield entry;
  }

  get size(): number {
    return this.#kept.size;
  }

  #unlist(group: string, key: string): void {
    const keys = this.#keysOf.get(group);
    keys?.delete(key);
    if (keys?.size === 0) this.#keysOf.delete(group);
  }
}

/** Equal for lookups that are answered alike. What only a policy looks at does not count where the key names a version. */
export function keyOf({ tenant, service, environment, version, hashKey, attributes, method }: Lookup): string {
  const name = `${tenant}/${service}/${environment}/${version}`;
  if (version !== '') return name;
  return JSON.stringify([name, hashKey, method, Object.entries(attributes).toSorted(([a], [b]) => (a < b ? -1 : 1))]);
}

function groupOf({ tenant, service, environment }: Pick<Lookup, 'tenant' | 'service' | 'environment'>): string {
  return `${tenant}/${service}/${environment}`;
}

/** Objects around the texts of an answer, and of an entry. */
const answerBytes = 2_000;
/** Objects around the texts of an endpoint, and of a label. */
const endpointBytes = 400;
const labelBytes = 100;

/** Roughly, two bytes a character. All that callers and operators can make long is counted: attributes, labels, URLs and policies. */
function bytesOf(said: Said): number {
  if (said.kind === 'absent') return answerBytes;
  const { route, policy } = said.resolution;
  const endpoints = route.endpoints.reduce(
    (total, { url, labels }) => total + endpointBytes + 2 * url.length + bytesOfTexts(labels),
    0,
  );
  // As objects, and as the bytes that they are answered with.
  const routeBytes = 2 * (endpoints + bytesOfTexts(route.labels));
  return answerBytes + routeBytes + (policy === undefined ? 0 : bytesOfPolicy(policy));
}

function bytesOfLookup({ attributes, hashKey, method }: Lookup, key: string): number {
  return 2 * (key.length + hashKey.length + method.length) + bytesOfTexts(attributes);
}

function bytesOfTexts(texts: Readonly<Record<string, string>>): number {
  return Object.entries(texts).reduce(
    (total, [name, value]) => total + labelBytes + 2 * (name.length + value.length),
    0,
  );
}
