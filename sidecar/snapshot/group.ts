import type { Change } from '../../src/domain/change.ts';
import type { Route } from '../../src/domain/route.ts';
import type { ServiceEnvironment } from '../../src/domain/tenant-view.ts';
import type { TrafficPolicy } from '../../src/domain/traffic-policy.ts';
import { decodeAnswer, encodePolicyAnswer, encodeRouteAnswer, etagOfRouteAnswer } from '../../src/wire/resolve-wire.ts';
import {
  blockBytes,
  encodeBlock,
  endOfRoute,
  replaceRoute,
  policyIn,
  routeAt,
  routesIn,
  seekRoute,
  spanOf,
  startOfAnswer,
  type BlockRoute,
  type Span,
} from './group-block.ts';
import { ReceivedRoute } from '../../src/wire/received-route.ts';
import { HeldPolicy } from './held-policy.ts';
import type { Used } from './recency.ts';
import type { Named } from './group-index.ts';
import type { Counted, GroupUsage } from '../usage/lookup-usage.ts';
import { groupNameBytes, writeGroupName } from '../../src/wire/group-name.ts';
import { slotBytesOf, type Place, type Slabs } from './slabs.ts';

/** A group in a tenant. */
export type GroupName = { readonly service: string; readonly environment: string };

/**
 * What a group costs besides its block and its names, bytes: the group itself, its entry in the LRU and in its tenant's indexes.
 * Rounded up from heaps measured with 100 to 100,000 groups.
 */
const groupBytes = 400;
/** No group is lighter. */
export const groupBytesMin = groupBytes + slotBytesOf(0);

/**
 * One service in one environment as held in memory: the policy and every route, encoded as they stand in answers, in one block
 * of bytes. It is replaced, never changed; but once it has been replaced in memory its block is given to others, so whoever
 * reads it does that at once. `routes` and `policy` are decoded each time: lookups use {@link seek} instead.
 */
export class Group implements ServiceEnvironment, Counted, Named, Used {
  // In the order in which a lookup wants them: an object lies in two lines of the processor's cache, or three.
  usedIn = 0;
  #block: Buffer;
  #start: number;
  readonly #policy: HeldPolicy | undefined;
  /** Where its lookups are counted; undefined: there were none since the last report. */
  usage: GroupUsage | undefined;
  /** The revision that it is known at: older changes are in it already. A snapshot tells it with its last part. */
  asOf: number;
  /** About how much memory it takes, with its names once it has settled. */
  #bytes: number;
  #place: Place | undefined;

  /** `block` is read in its place until {@link settle}. */
  constructor(block: Span, policy: HeldPolicy | undefined, asOf: number) {
    this.#block = block.buffer;
    this.#start = block.start;
    this.#policy = policy;
    this.asOf = asOf;
    this.#bytes = groupBytes + slotBytesOf(block.end - block.start) + (policy?.bytes ?? 0);
  }

  get bytes(): number {
    return this.#bytes;
  }

  get policy(): TrafficPolicy | undefined {
    return this.#policy?.in(this.#block, this.#start);
  }

  get routes(): ReadonlyMap<string, Route> {
    const routes = new Map<string, Route>();
    for (const { version, answer } of this.blockRoutes()) {
      const { route } = decodeAnswer(answer.buffer.subarray(answer.start, answer.end));
      if (route === undefined) throw new Error(`the block of ${version} holds no route`);
      routes.set(version, route);
    }
    return routes;
  }

  /** Routes as they stand in the block. */
  blockRoutes(): IterableIterator<BlockRoute> {
    return routesIn(this.#block, this.#start);
  }

  /** The route of a version, as it stands in the block. */
  blockRoute(version: string): BlockRoute | undefined {
    const head = this.seek(version);
    return head < 0 ? undefined : routeAt(this.#block, head);
  }

  /** The etag of a version's route, without decoding the rest of it. */
  etagOf(version: string): string | undefined {
    const head = this.seek(version);
    return head < 0
      ? undefined
      : etagOfRouteAnswer(this.#block, startOfAnswer(this.#block, head), endOfRoute(this.#block, head));
  }

  /** Where a version's route is in {@link block}; -1: there is none. */
  seek(version: string): number {
    return seekRoute(this.#block, this.#start, version);
  }

  /** What the places that {@link seek} finds are in. */
  get block(): Buffer {
    return this.#block;
  }

  /** The policy as it stands in answers. */
  get policyAnswer(): Span | undefined {
    return this.#policy === undefined ? undefined : policyIn(this.#block, this.#start);
  }

  get heldPolicy(): HeldPolicy | undefined {
    return this.#policy;
  }

  /** The group as bytes, for the disk. */
  get content(): Buffer {
    const { buffer, start, end } = this.span;
    return buffer.subarray(start, end);
  }

  /** Where these are. */
  get span(): Span {
    return { buffer: this.#block, start: this.#start, end: this.#start + blockBytes(this.#block, this.#start) };
  }

  /** Where its name begins, once it has settled. */
  get place(): Place | undefined {
    return this.#place;
  }

  get nameBytes(): number {
    return this.#block[this.#start - 1] ?? 0;
  }

  touch(): number {
    return this.usage?.lookups ?? 0;
  }

  /** Moves its block into slabs, where it stays until it is released, behind its name. */
  settle(slabs: Slabs, { service, environment }: GroupName): void {
    const nameBytes = groupNameBytes(service, environment);
    const blockEnd = this.#start + blockBytes(this.#block, this.#start);
    const storedBytes = nameBytes + 1 + blockEnd - this.#start;
    const place = slabs.take(storedBytes);
    const { buffer } = place.slab;
    const nameEnd = writeGroupName(buffer, place.start, service, environment);
    buffer[nameEnd] = nameBytes;
    this.#block.copy(buffer, nameEnd + 1, this.#start, blockEnd);
    this.#place = place;
    this.#block = buffer;
    this.#start = (nameEnd + 1) | 0;
    // The name stands here and in the key.
    this.#bytes = groupBytes + nameBytes + slotBytesOf(storedBytes) + (this.#policy?.bytes ?? 0);
  }

  /** Its service and environment, as they stand in a RouteKey: in front of its block, with a byte for its length between. */
  get name(): Span {
    const end = this.#start - 1;
    return { buffer: this.#block, start: end - this.nameBytes, end };
  }

  /** Gives its block back: whoever still reads it throws, because its bytes are another group's from now on. */
  release(slabs: Slabs): void {
    if (this.#place === undefined) return;
    slabs.release(this.#place);
    this.#place = undefined;
    this.#block = noBlock;
    this.#start = 0;
  }
}

const noBlock = Buffer.alloc(0);
const emptyBlock = encodeBlock({ policy: undefined, routes: [] });

/** Builds a group. Deleted routes are left out: here a route is either in it or not. */
export function createGroup(routes: Iterable<Route>, policy: TrafficPolicy | undefined, asOf: number): Group {
  const inBlock = Array.from(routes).flatMap((route) => toBlockRoute(route) ?? []);
  const block = encodeBlock({ policy: policy && spanOf(encodePolicyAnswer(policy)), routes: inBlock });
  return new Group(block, policy && HeldPolicy.of(policy), asOf);
}

/** A group from its bytes on disk. `policyBytes`: what its policy takes, 0 when it has none. */
export function groupFromContent(content: Span, { policyBytes, asOf }: { policyBytes: number; asOf: number }): Group {
  return new Group(content, policyBytes === 0 ? undefined : new HeldPolicy(policyBytes), asOf);
}

/** The group with more in it. */
export function addToGroup(
  group: Group | undefined,
  { routes, policy, asOf }: { routes: readonly Route[]; policy: TrafficPolicy | undefined; asOf: number },
): Group {
  if (group === undefined) return createGroup(routes, policy, asOf);
  const added = routes.flatMap((route) => toBlockRoute(route) ?? []);
  const versions = new Set(routes.map(({ key }) => key.version));
  const kept = Array.from(group.blockRoutes()).filter(({ version }) => !versions.has(version));
  return rebuilt(group, [...kept, ...added], { asOf, policy });
}

/** The group after a change of a route or a policy in it. An older change than the group knows leaves it as it is. */
export function changeGroup(group: Group | undefined, change: Change): Group | undefined {
  const { subject, revision } = change;
  if (subject.kind === 'tenant' || (group !== undefined && revision <= group.asOf)) return group;
  if (subject.kind === 'traffic_policy') {
    const routes = group?.blockRoutes() ?? [];
    const policy = subject.after && spanOf(encodePolicyAnswer(subject.after));
    return new Group(encodeBlock({ policy, routes }), subject.after && HeldPolicy.of(subject.after), revision);
  }
  const after = toBlockRoute(subject.after);
  const block = replaceRoute(group?.span ?? emptyBlock, subject.after.key.version, after);
  return new Group(block, group?.heldPolicy, revision);
}

/** With other routes, and another policy if one is given. The policy that stays keeps what was made of it: its regexes. */
function rebuilt(
  group: Group,
  routes: readonly BlockRoute[],
  { asOf, policy }: { asOf: number; policy: TrafficPolicy | undefined },
): Group {
  const span = policy === undefined ? group.policyAnswer : spanOf(encodePolicyAnswer(policy));
  const held = policy === undefined ? group.heldPolicy : HeldPolicy.of(policy);
  return new Group(encodeBlock({ policy: span, routes }), held, asOf);
}

/** Undefined: it is deleted. */
function toBlockRoute(route: Route): BlockRoute | undefined {
  const { state } = route.lifecycle;
  if (state === 'DELETED') return undefined;
  const answer = route instanceof ReceivedRoute ? route.encodeAnswer() : encodeRouteAnswer(route);
  return { version: route.key.version, lifecycle: { state }, answer: spanOf(answer) };
}
