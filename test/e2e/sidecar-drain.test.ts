import { once } from 'node:events';
import { connect } from 'node:net';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { frontKinds } from '../../sidecar/front/front.ts';
import { frameTypes } from '../../sidecar/wire/frame.ts';
import { createClient, message, ResolveRequest } from '../../src/client/index.ts';
import {
  BatchResolveRequest,
  BatchResolveResponse,
  ResolveResponse,
  ResolverServiceService,
} from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { WatchRequest, WatchResponse, WatchServiceService } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import { startTestControlPlane } from '../support/control-plane.ts';
import { FrameConnection } from '../support/frame-connection.ts';
import { createDatabase } from '../support/postgres.ts';
import { startProcess } from '../support/sidecar-process.ts';
import { keyOf, lookupsOf, putRoute, putTenant } from '../support/sidecar.ts';

const healthPath = '/grpc.health.v1.Health';
const serving = Buffer.from([8, 1]);
const notServing = Buffer.from([8, 2]);
const nothing = Buffer.alloc(0);
/** Streams of the one connection that looks on. */
const streams = { health: 1, watch: 3, resolving: 5, waiting: 7, late: 101 } as const;

let started: AsyncDisposableStack;
beforeEach(() => {
  started = new AsyncDisposableStack();
});
afterEach(async () => await started.disposeAsync());

/** A sidecar process that holds one route, `v0`, and somebody who can write another. */
async function startSidecar(front: string, settings: Record<string, string>) {
  const { url } = started.use(await createDatabase(inject('postgresUrl')));
  const controlPlane = started.use(await startTestControlPlane(url));
  const writer = controlPlane.client;
  await putTenant(writer);
  const revision = await putRoute(writer, { version: 'v0' }, 'grpc://v0:1');
  const sidecar = started.use(
    await startProcess('sidecar', {
      TM_SIDECAR_ADDRESS: '127.0.0.1:0',
      TM_SIDECAR_WIRE: front,
      TM_SIDECAR_SOURCE: `grpc://${controlPlane.address}`,
      TM_SIDECAR_TENANTS: 'acme',
      TM_DRAIN_MS: '600000',
      ...settings,
    }),
  );
  const [address = ''] = sidecar.addresses;
  using client = createClient({ address, defaults: { timeoutMs: 30_000 } });
  await lookupsOf(client).untilRevision('acme', revision);
  return { sidecar, address, writer };
}

function lookup(version: string, minRevision?: bigint): ResolveRequest {
  const requirement = minRevision === undefined ? undefined : ({ $case: 'minRevision', value: minRevision } as const);
  return message(ResolveRequest, { key: keyOf({ version }), consistency: requirement && { requirement } });
}

const single = (request: ResolveRequest): Uint8Array => ResolveRequest.encode(request).finish();
const batch = (request: ResolveRequest): Uint8Array => BatchResolveRequest.encode({ requests: [request] }).finish();

/** Where a batch of one is told to go. */
function urlOf(answer: Buffer): string | undefined {
  const [first] = BatchResolveResponse.decode(answer).results;
  return first?.result?.$case === 'response' ? first.result.value.route?.endpoints[0]?.url : undefined;
}

/** Has begun a watch of health, one of a tenant, and a stream of lookups. */
async function look(address: string): Promise<FrameConnection> {
  const seen = started.use(await FrameConnection.open(address));
  seen.call(streams.health, `${healthPath}/Watch`, { messages: [nothing], isLast: true });
  const watch = WatchRequest.encode(message(WatchRequest, { tenant: 'acme' })).finish();
  seen.call(streams.watch, WatchServiceService.watch.path, { messages: [watch], isLast: true });
  seen.call(streams.resolving, ResolverServiceService.streamResolve.path, {
    messages: [batch(lookup('v0'))],
    isLast: false,
  });
  for (const id of [streams.health, streams.watch, streams.resolving])
    await seen.until(() => seen.messagesOf(id).length > 0);
  expect(seen.messagesOf(streams.health)).toEqual([serving]);
  return seen;
}

describe.each(frontKinds)('a sidecar on %s that is told to stop', (front) => {
  test('is not ready first, then goes away, answers all that had come, and ends with 0', async () => {
    const { sidecar, address, writer } = await startSidecar(front, {});
    const seen = await look(address);
    // The first of these waits, and the others behind it; so does a single one.
    const messages = [batch(lookup('v1', 3n)), batch(lookup('v0')), batch(lookup('v1'))];
    seen.say(streams.resolving, messages, false);
    seen.call(streams.waiting, ResolverServiceService.resolve.path, {
      messages: [single(lookup('v1', 3n))],
      isLast: true,
    });
    // They have come when something after them is answered.
    seen.call(9, ResolverServiceService.resolve.path, { messages: [single(lookup('v0'))], isLast: true });
    await seen.until(() => seen.endOf(9) !== undefined);

    sidecar.child.kill('SIGTERM');
    await seen.until(() => seen.endOf(streams.watch) !== undefined && seen.endOf(streams.health) !== undefined);
    await seen.until(() => (seen.goAways.at(-1) ?? Infinity) < streams.late);
    expect(seen.messagesOf(streams.health)).toEqual([serving, notServing]);
    const isNotServing = seen.frames.findLastIndex(({ type, streamId }) => type === frameTypes.DATA && streamId === 1);
    expect(isNotServing).toBeLessThan(seen.frames.findIndex(({ type }) => type === frameTypes.GOAWAY));
    // Our own engine says first that it will go: nothing that is on its way then is lost.
    expect(seen.goAways).toEqual(front === 'wire' ? [0x7fffffff, 9] : [9]);
    expect(seen.endOf(streams.watch)).toEqual({ code: status.UNAVAILABLE, reason: 'SHUTTING_DOWN' });
    expect(WatchResponse.decode(seen.messagesOf(streams.watch).at(-1) ?? nothing).revision).toBe(2n);
    expect([seen.endOf(streams.resolving), seen.endOf(streams.waiting)]).toEqual([undefined, undefined]);

    // Whoever comes now goes elsewhere: no connection, and no answer to a stream after the last one.
    seen.call(streams.late, ResolverServiceService.resolve.path, { messages: [single(lookup('v0'))], isLast: true });
    const [refused] = (await once(connect({ host: '127.0.0.1', port: Number(address.split(':')[1]) }), 'error')) as [
      NodeJS.ErrnoException,
    ];
    expect(refused.code).toBe('ECONNREFUSED');

    await putRoute(writer, { version: 'v1' }, 'grpc://v1:1');
    await seen.until(() => seen.endOf(streams.resolving) !== undefined && seen.endOf(streams.waiting) !== undefined);
    expect(seen.messagesOf(streams.resolving).map(urlOf)).toEqual([
      'grpc://v0:1',
      'grpc://v1:1',
      'grpc://v0:1',
      'grpc://v1:1',
    ]);
    expect(seen.endOf(streams.resolving)).toEqual({ code: status.UNAVAILABLE, reason: 'SHUTTING_DOWN' });
    expect(seen.endOf(streams.waiting)).toMatchObject({ code: status.OK });
    const [answer = nothing] = seen.messagesOf(streams.waiting);
    expect(ResolveResponse.decode(answer).route?.endpoints[0]?.url).toBe('grpc://v1:1');
    // As clients do when a stream has ended before they did.
    seen.say(streams.resolving, [], true);
    await expect.poll(() => seen.isClosed).toBe(true);
    expect(seen.frames.filter(({ streamId }) => streamId === streams.late)).toEqual([]);
    expect(await sidecar.ended).toEqual({ code: 0, signal: null, errors: '' });
  });

  test('serves on while it says that it is not ready, for as long as it is told', async () => {
    const { sidecar, address } = await startSidecar(front, { TM_DRAIN_DELAY_MS: '600000' });
    const seen = await look(address);
    sidecar.child.kill('SIGTERM');
    await seen.until(() => seen.messagesOf(streams.health).length > 1);
    expect(seen.messagesOf(streams.health)).toEqual([serving, notServing]);
    const later = started.use(await FrameConnection.open(address));
    later.call(1, `${healthPath}/Check`, { messages: [nothing], isLast: true });
    later.call(3, ResolverServiceService.resolve.path, { messages: [single(lookup('v0'))], isLast: true });
    seen.say(streams.resolving, [batch(lookup('v0'))], false);
    await later.until(() => later.endOf(1) !== undefined && later.endOf(3) !== undefined);
    await seen.until(() => seen.messagesOf(streams.resolving).length === 2);
    expect(later.messagesOf(1)).toEqual([notServing]);
    expect(later.endOf(3)).toMatchObject({ code: status.OK });
    expect([seen.goAways, later.goAways, seen.endOf(streams.watch)]).toEqual([[], [], undefined]);
  });

  test('cuts off what takes longer than it may, and ends with 0', async () => {
    const { sidecar, address } = await startSidecar(front, { TM_DRAIN_MS: '100' });
    const seen = await look(address);
    seen.call(streams.waiting, ResolverServiceService.resolve.path, {
      messages: [single(lookup('v1', 3n))],
      isLast: true,
    });
    sidecar.child.kill('SIGTERM');
    expect(await sidecar.ended).toEqual({ code: 0, signal: null, errors: '' });
    await expect.poll(() => seen.isClosed).toBe(true);
    expect(seen.endOf(streams.waiting)).toBe(undefined);
  });
});
