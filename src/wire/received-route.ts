import type { Endpoint } from '../domain/endpoint.ts';
import type { Lifecycle, Route, RouteKey } from '../domain/route.ts';
import { RouteState, Route as WireRoute } from '../gen/trafficmanager/v1/route.ts';
import { FieldWalk } from './field-walk.ts';
import { keyTag } from './group-name.ts';
import { lifecycleFromWire, routeFromWire } from './route-wire.ts';
import { varintBytes, writeVarint } from './varint.ts';

/** Fields of a Route by their tags, in route.proto. */
const routeTag = { key: 0x0a, state: 0x18, etag: 0x2a } as const;
/** `route` of a ResolveResponse, in resolver_service.proto. */
const answerTag = 0x0a;

/**
 * A route in the bytes in which another process sent it: read as far as it takes to know which it is and whether it stands. What is
 * asked for besides is decoded then. Fields that this program does not know are answered as they came.
 */
export class ReceivedRoute implements Route {
  readonly key: RouteKey;
  readonly etag: string;
  readonly lifecycle: Lifecycle;
  readonly #bytes: Buffer;
  readonly #start: number;
  readonly #end: number;
  #whole: Route | undefined;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    const key = { tenant: '', service: '', environment: '', version: '' };
    let etag = '';
    let state: RouteState = RouteState.ROUTE_STATE_UNSPECIFIED;
    const walk = new FieldWalk(bytes, start, end);
    while (walk.next()) {
      if (walk.tag === routeTag.key) readKey(walk, key);
      else if (walk.tag === routeTag.state) state = walk.number() as RouteState;
      else if (walk.tag === routeTag.etag) etag = walk.text();
    }
    this.key = key;
    this.etag = etag;
    this.lifecycle = lifecycleFromWire(state);
  }

  /** `route` of a ResolveResponse, with its tag. */
  encodeAnswer(): Buffer {
    const bytes = this.#end - this.#start;
    const answer = Buffer.allocUnsafe(1 + varintBytes(bytes) + bytes);
    answer[0] = answerTag;
    this.#bytes.copy(answer, writeVarint(answer, bytes, 1), this.#start, this.#end);
    return answer;
  }

  get endpoints(): readonly Endpoint[] {
    return this.#decoded().endpoints;
  }

  get labels(): Readonly<Record<string, string>> {
    return this.#decoded().labels;
  }

  get revision(): number {
    return this.#decoded().revision;
  }

  get createTimeMs(): number {
    return this.#decoded().createTimeMs;
  }

  get updateTimeMs(): number {
    return this.#decoded().updateTimeMs;
  }

  get updatedBy(): string {
    return this.#decoded().updatedBy;
  }

  #decoded(): Route {
    return (this.#whole ??= routeFromWire(WireRoute.decode(this.#bytes.subarray(this.#start, this.#end))));
  }
}

function readKey({ bytes, start, end }: FieldWalk, key: { -readonly [Name in keyof RouteKey]: string }): void {
  const walk = new FieldWalk(bytes, start, end);
  while (walk.next())
    switch (walk.tag) {
      case keyTag.tenant:
        key.tenant = walk.text();
        break;
      case keyTag.service:
        key.service = walk.text();
        break;
      case keyTag.environment:
        key.environment = walk.text();
        break;
      case keyTag.version:
        key.version = walk.text();
        break;
      default:
        break;
    }
}
