import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import {
  Client,
  credentials,
  type ClientDuplexStream,
  type ClientReadableStream,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Front } from '../../sidecar/front/front.ts';
import {
  BatchResolveRequest,
  ResolveRequest,
  ResolverServiceService,
} from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { WatchServiceService, WatchRequest } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import { ListenError } from '../../src/platform/grpc/server.ts';
import { ScriptedServices } from '../fakes/sidecar-scripted-services.ts';
import { makeSocketDirectory } from '../support/sidecar.ts';

/** Everything that a caller can see of a call, message by message as bytes. */
type Observed = {
  readonly messages: readonly string[];
  readonly code: number;
  readonly details: string;
  readonly statusDetails: string | undefined;
  readonly correlationId: string | undefined;
};

const same = (bytes: Buffer): Buffer => bytes;
const resolvePath = ResolverServiceService.resolve.path;
const batchPath = ResolverServiceService.batchResolve.path;
const streamPath = ResolverServiceService.streamResolve.path;
const watchPath = WatchServiceService.watch.path;
const correlation = { 'x-correlation-id': 'the-id' };

/** A request whose hash key tells the handler below what to do. */
function asking(hashKey: string): Buffer {
  return Buffer.from(
    ResolveRequest.encode({ key: undefined, hashKey, attributes: {}, method: '', consistency: undefined }).finish(),
  );
}

function batchAsking(...hashKeys: readonly string[]): Buffer {
  const requests = hashKeys.map((hashKey) => ResolveRequest.decode(asking(hashKey)));
  return Buffer.from(BatchResolveRequest.encode({ requests }).finish());
}

function watching(tenant: string): Buffer {
  return Buffer.from(WatchRequest.encode({ ...WatchRequest.decode(new Uint8Array()), tenant }).finish());
}

/** The contract of {@link Front}: what an app can see is the same, whichever adapter stands behind it. */
export function describeFront(name: string, create: (options: { drainMs: number }) => Promise<Front>): void {
  describe(`a front over ${name}`, () => {
    let owned: AsyncDisposableStack;
    let front: Front;
    let script: ScriptedServices;
    let address: string;
    let client: Client;

    beforeEach(async () => {
      owned = new AsyncDisposableStack();
      script = new ScriptedServices();
      front = await create({ drainMs: 5_000 });
      script.serve(front);
      address = await front.listen('127.0.0.1:0');
      client = new Client(address, credentials.createInsecure());
      owned.defer(async () => await front[Symbol.asyncDispose]());
      owned.defer(() => client.close());
    });
    afterEach(async () => {
      script.release.resolve();
      await owned.disposeAsync();
      expect(script.begun).toBe(0);
    });

    function unary(
      request: Buffer,
      { path = resolvePath, headers = {}, timeoutMs = 10_000 }: CallSettings = {},
    ): { cancel(): void; observed: Promise<Observed> } {
      const options = { deadline: Date.now() + timeoutMs };
      const messages: string[] = [];
      let failure: ServiceError | undefined;
      const call = client.makeUnaryRequest(path, same, same, request, metadataOf(headers), options, (error, value) => {
        if (error !== null) failure = error;
        if (value !== undefined) messages.push(value.toString('hex'));
      });
      return {
        cancel: () => call.cancel(),
        observed: once(call, 'status').then(([ended]) => observe(messages, ended as StatusLike & typeof failure)),
      };
    }

    test('answers with the bytes of the handler, and the correlation id of the caller', async () => {
      expect(await unary(asking('me'), { headers: correlation }).observed).toEqual({
        messages: [Buffer.from('answer to me').toString('hex')],
        code: status.OK,
        details: expect.any(String) as string,
        statusDetails: undefined,
        correlationId: 'the-id',
      });
    });

    test('makes a correlation id where there is none, or a bad one', async () => {
      const { correlationId } = await unary(asking('me')).observed;
      expect(correlationId).toMatch(/^[0-9a-f-]{36}$/);
      const long = await unary(asking('me'), { headers: { 'x-correlation-id': 'x'.repeat(200) } }).observed;
      expect(long.correlationId).toMatch(/^[0-9a-f-]{36}$/);
    });

    test('answers a refusal with its status, its details and its correlation id', async () => {
      const { statusDetails, ...observed } = await unary(asking('refuse'), { headers: correlation }).observed;
      expect(observed).toEqual({
        messages: [],
        code: status.NOT_FOUND,
        details: 'nö such röute: 100 %',
        correlationId: 'the-id',
      });
      expect(statusDetails).toContain('ROUTE_NOT_FOUND');
    });

    test('tells nothing of a fault but its correlation id', async () => {
      const observed = await unary(asking('fault'), { headers: correlation }).observed;
      expect(observed).toMatchObject({ code: status.INTERNAL, details: 'internal error (correlation id the-id)' });
      expect(JSON.stringify(observed)).not.toContain('secret');
    });

    test.each([
      ['no message', Buffer.from([0xff])],
      ['text that is not UTF-8', Buffer.from([0x12, 1, 0xff])],
    ])('refuses %s as INVALID_ARGUMENT', async (_name, bytes) => {
      const { code, statusDetails } = await unary(bytes).observed;
      expect([code, statusDetails]).toEqual([
        status.INVALID_ARGUMENT,
        expect.stringContaining('MALFORMED_MESSAGE') as string,
      ]);
    });

    test('refuses methods that nobody serves', async () => {
      expect((await unary(asking('me'), { path: '/no.Service/Method' }).observed).code).toBe(status.UNIMPLEMENTED);
    });

    test('carries 5 MB, and refuses more than 16 MiB', async () => {
      const large = await unary(asking('x'.repeat(5_000_000))).observed;
      expect(large.messages).toEqual([Buffer.from(`answer to ${'x'.repeat(20)}`).toString('hex')]);
      expect((await unary(asking('x'.repeat(17 * 1_048_576))).observed).code).toBe(status.RESOURCE_EXHAUSTED);
    });

    test('shows the handler its metadata and its deadline', async () => {
      const metadata = { 'x-text': 'some text', 'x-bytes-bin': Buffer.from([0, 255]) };
      const startMs = Date.now();
      await unary(asking('me'), { headers: metadata, timeoutMs: 5_000 }).observed;
      const [context] = script.contexts;
      expect(context?.metadata.get('x-text')).toEqual(['some text']);
      expect(context?.metadata.get('x-bytes-bin')).toEqual([Buffer.from([0, 255])]);
      expect(context?.metadata.get(':path')).toEqual([]);
      expect(context?.deadlineMs).toBeGreaterThan(startMs + 4_000);
      expect(context?.deadlineMs).toBeLessThan(startMs + 10_000);
    });

    test('fires the signal of a call that is cancelled, and of one whose deadline passes', async () => {
      const cancelled = unary(asking('wait'));
      await expect.poll(() => script.contexts).toHaveLength(1);
      cancelled.cancel();
      expect((await cancelled.observed).code).toBe(status.CANCELLED);
      await expect.poll(() => script.events).toEqual(['aborted wait']);
      expect((await unary(asking('wait'), { timeoutMs: 50 }).observed).code).toBe(status.DEADLINE_EXCEEDED);
      await expect.poll(() => script.events).toEqual(['aborted wait', 'aborted wait']);
      expect(script.contexts.map(({ signal }) => signal.aborted)).toEqual([true, true]);
    });

    test('answers 1,000 calls at a time', async () => {
      const all = await Promise.all(
        Array.from({ length: 1_000 }, (_none, index) => unary(asking(`${index}`)).observed),
      );
      expect(all.map(({ messages }) => Buffer.from(messages[0] ?? '', 'hex').toString())).toEqual(
        Array.from({ length: 1_000 }, (_none, index) => `answer to ${index}`),
      );
    });

    test('keeps the order of a bidirectional stream, and hears when the caller has said all', async () => {
      const call = client.makeBidiStreamRequest(streamPath, same, same, metadataOf(correlation));
      for (let index = 0; index < 100; index++) call.write(batchAsking(`n${index}`, 'more'));
      call.end();
      const observed = await observeStream(call);
      expect(observed.messages).toEqual(
        Array.from({ length: 100 }, (_none, index) => Buffer.from(`2 n${index}`).toString('hex')),
      );
      expect(observed).toMatchObject({ code: status.OK, correlationId: 'the-id' });
      expect(script.events).toEqual(['all said']);
    });

    test('completes what an instant has begun with what the handler says to the rest, each in its place', async () => {
      const call = client.makeBidiStreamRequest(streamPath, same, same, new Metadata());
      for (const what of ['first', 'begin one', 'begin two', 'last']) call.write(batchAsking(what, 'more'));
      call.end();
      expect((await observeStream(call)).messages.map((hex) => Buffer.from(hex, 'hex').toString())).toEqual([
        '2 first',
        'begun, 1 one',
        'begun, 1 two',
        '2 last',
      ]);
      const { messages, code } = await unary(batchAsking('begin one'), { path: batchPath }).observed;
      expect([messages, code]).toEqual([[Buffer.from('begun, \n\0').toString('hex')], status.OK]);
    });

    test('fails what an instant has begun when the handler fails on the rest', async () => {
      const { code } = await unary(batchAsking('begin refuse'), { path: batchPath }).observed;
      expect(code).toBe(status.INVALID_ARGUMENT);
      const call = client.makeBidiStreamRequest(streamPath, same, same, new Metadata());
      for (const what of ['first', 'begin refuse', 'last']) call.write(batchAsking(what));
      const observed = await observeStream(call);
      expect(observed.messages).toEqual([Buffer.from('1 first').toString('hex')]);
      expect(observed.code).toBe(status.INVALID_ARGUMENT);
    });

    test.each([
      ['refuse', status.INVALID_ARGUMENT],
      ['enough', status.OK],
    ])('ends a bidirectional stream when the handler does (%s), whatever else the caller says', async (what, code) => {
      const call = client.makeBidiStreamRequest(streamPath, same, same, new Metadata());
      call.write(batchAsking('first'));
      call.write(batchAsking(what));
      call.write(batchAsking('last'));
      const observed = await observeStream(call);
      expect(observed.messages).toEqual([Buffer.from('1 first').toString('hex')]);
      expect(observed.code).toBe(code);
    });

    test('refuses a message of a stream that is none', async () => {
      const call = client.makeBidiStreamRequest(streamPath, same, same, new Metadata());
      call.write(Buffer.from([0xff]));
      expect((await observeStream(call)).code).toBe(status.INVALID_ARGUMENT);
    });

    test('sends frames that were made elsewhere, in one piece or two', async () => {
      const call = client.makeServerStreamRequest(watchPath, same, same, watching('two-pieces'), new Metadata());
      expect((await observeStream(call)).messages).toEqual(
        ['first', 'second'].map((text) => Buffer.from(text).toString('hex')),
      );
    });

    test('holds a writer up while its reader does not read', async () => {
      const call = client.makeServerStreamRequest(watchPath, same, same, watching('fast'), new Metadata());
      await once(call, 'metadata');
      // 4 MB do not fit into the windows and the sockets in between.
      expect(script.events).toEqual([]);
      const { messages } = await observeStream(call);
      expect(messages).toHaveLength(200);
      // A call may be told of its end as of a cancellation.
      expect(script.events[0]).toBe('all written');
    });

    test('fires the signal of a watch whose client goes away; sending then does nothing', async () => {
      const call = client.makeServerStreamRequest(watchPath, same, same, watching('quiet'), new Metadata());
      call.on('error', () => {});
      await once(call, 'metadata');
      call.cancel();
      await expect.poll(() => script.events).toEqual(['watch aborted']);
      expect(script.writer?.send(Buffer.alloc(5))).toBe(false);
      await expect(script.writer?.write(Buffer.alloc(1))).rejects.toThrow('the call is over');
    });

    test('shuts down in order: endless streams are told, calls under way are answered, then nobody listens', async () => {
      const watch = client.makeServerStreamRequest(watchPath, same, same, watching('quiet'), new Metadata());
      const watched = observeStream(watch);
      await once(watch, 'metadata');
      const underWay = unary(asking('wait'));
      await expect.poll(() => script.contexts).toHaveLength(1);
      const stopped = front[Symbol.asyncDispose]();
      expect((await watched).statusDetails).toContain('SHUTTING_DOWN');
      script.release.resolve();
      expect((await underWay.observed).code).toBe(status.OK);
      await stopped;
      const probe = connect({ host: '127.0.0.1', port: Number(address.split(':')[1]) });
      const [refused] = (await once(probe, 'error')) as [NodeJS.ErrnoException];
      expect(refused.code).toBe('ECONNREFUSED');
    });

    test('cuts off what takes longer than it may when it shuts down', async () => {
      const hurried = await create({ drainMs: 50 });
      const late = new ScriptedServices();
      late.serve(hurried);
      const at = await hurried.listen('127.0.0.1:0');
      const caller = owned.adopt(new Client(at, credentials.createInsecure()), (each) => each.close());
      const call = caller.makeUnaryRequest(resolvePath, same, same, asking('wait'), () => {});
      await expect.poll(() => late.contexts).toHaveLength(1);
      const ended = once(call, 'status');
      await hurried[Symbol.asyncDispose]();
      const [{ code }] = (await ended) as [{ code: number }];
      expect([status.UNAVAILABLE, status.CANCELLED]).toContain(code);
      late.release.resolve();
    });

    test('listens on a socket for its own user, and leaves no file behind', async () => {
      const { path: directory } = owned.use(await makeSocketDirectory());
      const path = join(directory, 'front.sock');
      const second = await create({ drainMs: 0 });
      expect(await second.listen(`unix:${path}`)).toBe(`unix:${path}`);
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      await expect(front.listen(`unix:${path}`)).rejects.toThrow(ListenError);
      await second[Symbol.asyncDispose]();
      await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
    });

    test('leaves the socket alone that its successor made while its last calls were under way', async () => {
      const path = join(owned.use(await makeSocketDirectory()).path, 'front.sock');
      const leaving = await create({ drainMs: 5_000 });
      const last = new ScriptedServices();
      last.serve(leaving);
      await leaving.listen(`unix:${path}`);
      const caller = owned.adopt(new Client(`unix:${path}`, credentials.createInsecure()), (each) => each.close());
      const call = caller.makeUnaryRequest(resolvePath, same, same, asking('wait'), () => {});
      await expect.poll(() => last.contexts).toHaveLength(1);
      const [ended, stopped] = [once(call, 'status'), leaving[Symbol.asyncDispose]()];
      await once(leaving.draining, 'abort');
      await front.listen(`unix:${path}`);
      last.release.resolve();
      await Promise.all([ended, stopped]);
      expect((await stat(path)).isSocket()).toBe(true);
    });

    test('makes a socket that is for its own user from the first moment, and leaves the mask as it was', async () => {
      const before = process.umask(0o002);
      owned.defer(() => void process.umask(before));
      const path = join(owned.use(await makeSocketDirectory()).path, 'front.sock');
      const listening = front.listen(`unix:${path}`);
      const seen = new Set<number>();
      let isListening = false;
      void listening.then(() => (isListening = true));
      while (!isListening) {
        const found = await stat(path).catch(() => undefined);
        if (found !== undefined) seen.add(found.mode & 0o777);
      }
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      expect([...seen].filter((mode) => mode !== 0o600)).toEqual([]);
      // Reading the mask means setting it.
      expect(process.umask(0o002)).toBe(0o002);
    });

    test('opens a socket to a group when it is told which', async () => {
      const path = join(owned.use(await makeSocketDirectory()).path, 'front.sock');
      // Root may give it to any; others to their own.
      const groupId = process.getuid?.() === 0 ? 12_345 : (process.getgid?.() ?? 0);
      await front.listen(`unix:${path}`, { groupId });
      const found = await stat(path);
      expect([found.mode & 0o777, found.gid]).toEqual([0o660, groupId]);
      const inSocket = new Client(`unix:${path}`, credentials.createInsecure());
      owned.defer(() => inSocket.close());
      const answer = await new Promise((resolve, reject) => {
        const ended = (error: ServiceError | null, value?: Buffer): void =>
          error === null ? resolve(value?.toString()) : reject(error);
        inSocket.makeUnaryRequest(resolvePath, same, same, asking('me'), ended);
      });
      expect(answer).toBe('answer to me');
    });

    test('says of an address in use that it is', async () => {
      const other = await create({ drainMs: 0 });
      owned.defer(async () => await other[Symbol.asyncDispose]());
      await expect(other.listen(address)).rejects.toThrow(`cannot listen on ${address}: it is in use`);
    });
  });
}

type CallSettings = { path?: string; headers?: Record<string, string | Buffer>; timeoutMs?: number };
type StatusLike = { readonly code: number; readonly details: string; readonly metadata: Metadata };

function metadataOf(headers: Record<string, string | Buffer>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}

async function observeStream(
  call: ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>,
): Promise<Observed> {
  const messages: string[] = [];
  call.on('data', (message: Buffer) => messages.push(message.toString('hex')));
  call.on('error', () => {});
  // Not by `once`: it fails with the error that comes before a status.
  return observe(messages, await new Promise<StatusLike>((resolve) => void call.on('status', resolve)));
}

function observe(messages: readonly string[], { code, details, metadata }: StatusLike): Observed {
  const text = (name: string): string | undefined => metadata.get(name)[0]?.toString('latin1' as never);
  return {
    messages,
    code,
    details,
    statusDetails: text('grpc-status-details-bin'),
    correlationId: text('x-correlation-id'),
  };
}
