import type { RouteKey } from '../../../src/domain/route.ts';
import {
  BatchResolveRequest,
  ResolveRequest,
  type ResolveResponse,
} from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { HeaderField } from '../../../sidecar/wire/hpack/header-field.ts';
import { benchKey, benchRoute } from '../resolve/bench-routes.ts';

/** Requests of which no two are alike, and what their answers must be. */
export class SoakRequests {
  readonly #random: () => number;
  readonly #routes: number;

  constructor(random: () => number, routes: number) {
    this.#random = random;
    this.#routes = routes;
  }

  below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  chance(share: number): boolean {
    return this.#random() < share;
  }

  /** The number of a route; `routes` or more: there is none. */
  index(): number {
    return this.below(this.#routes * 1.02);
  }

  isMissing(index: number): boolean {
    return index >= this.#routes;
  }

  one(index: number): Uint8Array {
    return ResolveRequest.encode(this.#request(index)).finish();
  }

  many(indexes: readonly number[]): Uint8Array {
    return BatchResolveRequest.encode({ requests: indexes.map((index) => this.#request(index)) }).finish();
  }

  #request(index: number): ResolveRequest {
    const attributes: Record<string, string> = this.chance(0.3) ? { user: this.#text(12), plan: 'gold' } : {};
    return {
      key: benchKey(index),
      hashKey: this.chance(0.2) ? this.#text(8) : '',
      attributes,
      method: this.chance(0.2) ? `/bench.Service/${this.#text(6)}` : '',
      consistency: undefined,
      at: undefined,
    };
  }

  /** Metadata that differs from call to call. */
  fields(): HeaderField[] {
    const fields = [new HeaderField('x-correlation-id', this.#text(24))];
    if (this.chance(0.3)) fields.push(new HeaderField('traceparent', `00-${this.#hex(32)}-${this.#hex(16)}-01`));
    if (this.chance(0.05)) fields.push(new HeaderField(`x-${this.#text(10)}`, this.#text(this.below(2_000))));
    return fields;
  }

  #hex(length: number): string {
    return this.#text(length, 16);
  }

  #text(length: number, radix = 36): string {
    let text = '';
    while (text.length < length) text += this.below(0x7fffffff).toString(radix);
    return text.slice(0, length);
  }
}

/** What is wrong with an answer; undefined: nothing is. */
export function problemOf(index: number, { route, freshness }: ResolveResponse): string | undefined {
  const expected: RouteKey = benchKey(index);
  const { key, endpoints } = route ?? {};
  const isRight =
    key?.tenant === expected.tenant &&
    key.service === expected.service &&
    key.environment === expected.environment &&
    key.version === expected.version;
  if (!isRight) return `route ${index} has the key ${JSON.stringify(key)}`;
  if (endpoints?.[0]?.url !== benchRoute(index).endpoints[0]?.url) return `route ${index} has other endpoints`;
  return freshness === undefined ? `route ${index} does not say how fresh it is` : undefined;
}
