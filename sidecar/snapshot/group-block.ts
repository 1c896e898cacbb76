import type { Lifecycle } from '../../src/domain/route.ts';

/**
 * A group as one block of bytes: the policy as it stands in an answer (nothing when there is none), then each route as it stands
 * in an answer, behind a head of its version, its state and its length. Numbers are little-endian.
 *
 *     policy bytes u32 | routes u32 | policy | { route bytes u32 | state u8 | version bytes u8 | version | route } …
 */
const groupHeadBytes = 8;
const routeHeadBytes = 6;

type State = Exclude<Lifecycle['state'], 'DELETED'>;
const states: readonly State[] = ['ACTIVE', 'INACTIVE'];

/** Bytes somewhere in a buffer: without a view of their own, which would be an object for each of 100,000. */
export type Span = { readonly buffer: Buffer; readonly start: number; readonly end: number };

/** A route in a block. */
export type BlockRoute = {
  readonly version: string;
  readonly lifecycle: { readonly state: State };
  /** `route` of a ResolveResponse, with its tag. */
  readonly answer: Span;
};

/** What a block is made of: equal to a {@link BlockRoute} that was read. */
export type BlockContent = { readonly policy: Span | undefined; readonly routes: Iterable<BlockRoute> };

export function spanOf(bytes: Uint8Array): Span {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { buffer, start: 0, end: buffer.length };
}

export function encodeBlock({ policy, routes }: BlockContent): Span {
  const each = Array.from(routes);
  const policyBytes = policy === undefined ? 0 : policy.end - policy.start;
  let bytes = groupHeadBytes + policyBytes;
  for (const { version, answer } of each) bytes += routeBytes(version, answer);
  const block = Buffer.allocUnsafe(bytes);
  block.writeUInt32LE(policyBytes, 0);
  block.writeUInt32LE(each.length, 4);
  policy?.buffer.copy(block, groupHeadBytes, policy.start, policy.end);
  let at = groupHeadBytes + policyBytes;
  for (const route of each) at = writeRoute(block, at, route);
  return { buffer: block, start: 0, end: bytes };
}

/** The block with another route in the place of a version's, at the end; undefined: without it. Nothing is made of what stays. */
export function replaceRoute(
  { buffer, start, end }: Span,
  version: string,
  route: Pick<BlockRoute, 'lifecycle' | 'answer'> | undefined,
): Span {
  const head = seekRoute(buffer, start, version);
  const goneEnd = head < 0 ? end : endOfRoute(buffer, head);
  const goneStart = head < 0 ? end : head;
  const keptBytes = end - start - (goneEnd - goneStart);
  const bytes = keptBytes + (route === undefined ? 0 : routeBytes(version, route.answer));
  const block = Buffer.allocUnsafe(bytes);
  buffer.copy(block, 0, start, goneStart);
  buffer.copy(block, goneStart - start, goneEnd, end);
  const count = routeCountIn(buffer, start) - (head < 0 ? 0 : 1) + (route === undefined ? 0 : 1);
  block.writeUInt32LE(count, 4);
  if (route !== undefined) writeRoute(block, keptBytes, { version, ...route });
  return { buffer: block, start: 0, end: bytes };
}

function routeBytes(version: string, { start, end }: Span): number {
  return routeHeadBytes + version.length + end - start;
}

/** Where it ends. */
function writeRoute(block: Buffer, start: number, { version, lifecycle, answer }: BlockRoute): number {
  block.writeUInt32LE(answer.end - answer.start, start);
  block[start + 4] = states.indexOf(lifecycle.state);
  block[start + 5] = version.length;
  const at = start + routeHeadBytes;
  // Versions are ASCII, 63 characters at most.
  const answerAt = at + block.write(version, at, 'latin1');
  return answerAt + answer.buffer.copy(block, answerAt, answer.start, answer.end);
}

/** `traffic_policy` of a ResolveResponse, with its tag. */
export function policyIn(block: Buffer, start: number): Span | undefined {
  const bytes = block.readUInt32LE(start);
  if (bytes === 0) return undefined;
  return { buffer: block, start: start + groupHeadBytes, end: start + groupHeadBytes + bytes };
}

function routeCountIn(block: Buffer, start: number): number {
  return block.readUInt32LE(start + 4);
}

/** Where the head of a version's route is; -1: there is none. Allocates nothing. */
export function seekRoute(block: Buffer, start: number, version: string): number {
  let at = start + groupHeadBytes + block.readUInt32LE(start);
  for (let left = block.readUInt32LE(start + 4); left > 0; left--) {
    if (isVersionAt(block, at, version)) return at;
    at = endOfRoute(block, at);
  }
  return -1;
}

function isVersionAt(block: Buffer, head: number, version: string): boolean {
  if (block[head + 5] !== version.length) return false;
  const at = head + routeHeadBytes;
  for (let index = 0; index < version.length; index++)
    if (block[at + index] !== version.charCodeAt(index)) return false;
  return true;
}

/** Where the answer's bytes of the route with this head begin; they end at {@link endOfRoute}. */
export function startOfAnswer(block: Buffer, head: number): number {
  return head + routeHeadBytes + (block[head + 5] ?? 0);
}

export function endOfRoute(block: Buffer, head: number): number {
  return startOfAnswer(block, head) + block.readUInt32LE(head);
}

export function stateAt(block: Buffer, head: number): State {
  return states[block[head + 4] ?? 0] ?? 'INACTIVE';
}

export function routeAt(block: Buffer, head: number): BlockRoute {
  const versionAt = head + routeHeadBytes;
  const start = startOfAnswer(block, head);
  return {
    version: block.toString('latin1', versionAt, start),
    lifecycle: { state: stateAt(block, head) },
    answer: { buffer: block, start, end: endOfRoute(block, head) },
  };
}

export function* routesIn(block: Buffer, start: number): IterableIterator<BlockRoute> {
  let at = start + groupHeadBytes + block.readUInt32LE(start);
  for (let left = routeCountIn(block, start); left > 0; left--) {
    yield routeAt(block, at);
    at = endOfRoute(block, at);
  }
}

/** Whether what is said to be a block is one, from its first byte to its last: of bytes that another program may have written. */
export function isBlock({ buffer, start, end }: Span): boolean {
  let at = start + groupHeadBytes;
  if (at > end) return false;
  at += buffer.readUInt32LE(start);
  for (let left = routeCountIn(buffer, start); left > 0; left--) {
    if (at + routeHeadBytes > end) return false;
    at = endOfRoute(buffer, at);
  }
  return at === end;
}

/** Bytes of a whole block. */
export function blockBytes(block: Buffer, start: number): number {
  let at = start + groupHeadBytes + block.readUInt32LE(start);
  for (let left = routeCountIn(block, start); left > 0; left--) at = endOfRoute(block, at);
  return at - start;
}
