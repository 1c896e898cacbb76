import { connect, StringCodec, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Change } from '../../src/domain/change.ts';
import { StreamAnswer, StreamMeta, StreamUpdate } from '../../src/gen/trafficmanager/v1/change_stream.ts';
import { NatsChangeStream } from '../../src/outbound/nats/nats-change-stream.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { connectNats } from '../../src/platform/nats/connect-nats.ts';
import { changeFromWire } from '../../src/wire/change-wire.ts';
import { streamName } from '../../src/wire/stream-subjects.ts';
import { exampleChanges } from '../fakes/example-changes.ts';
import { exampleKey, exampleRouteValue, exampleTenant as tenant } from '../fakes/example-configuration.ts';
import { InMemoryStreamServer } from '../fakes/in-memory-change-stream.ts';
import { provideNatsServer, type TestNats } from '../support/nats.ts';
import { describeChangeStream, exampleMeta, type OpenedStreams } from './change-stream.contract.ts';

let nats: TestNats;
let client: NatsConnection;

beforeAll(async () => {
  nats = await (await provideNatsServer()).start();
  client = await connect({ servers: `127.0.0.1:${nats.port}` });
});
afterAll(async () => {
  await client.close();
  await nats[Symbol.asyncDispose]();
});

async function openStream(owner: AsyncDisposableStack): Promise<NatsChangeStream> {
  const link = owner.use(connectNats({ url: nats.url, name: 'test', logger: createLogger('test', 'silent') }));
  await link.opened;
  return new NatsChangeStream(link);
}

async function removeStreams(): Promise<void> {
  const { streams } = await client.jetstreamManager();
  for await (const { config } of streams.list()) await streams.delete(config.name);
}

async function open(): Promise<OpenedStreams> {
  const owner = new AsyncDisposableStack();
  owner.defer(removeStreams);
  const streams = [await openStream(owner), await openStream(owner)] as const;
  return {
    streams,
    destroy: async (name) => void (await (await client.jetstreamManager()).streams.delete(streamName(name))),
    [Symbol.asyncDispose]: async () => await owner.disposeAsync(),
  };
}

describeChangeStream('JetStream', open);

describeChangeStream('one process', async (): Promise<OpenedStreams> => {
  const server = new InMemoryStreamServer();
  return await Promise.resolve({
    streams: [server.connect(), server.connect()],
    destroy: async (name) => await Promise.resolve(server.destroy(name)),
    [Symbol.asyncDispose]: async () => await Promise.resolve(),
  });
});

describe('the change stream of JetStream', () => {
  test('is one message a subject, with subjects as the contract names them, and can be read without a consumer', async () => {
    await using opened = await open();
    const [stream] = opened.streams;
    await stream.create(tenant);
    await stream.append(tenant, { after: 0, changes: exampleChanges(1, 1), meta: exampleMeta(1) });
    const manager = await client.jetstreamManager();
    const { config, state } = await manager.streams.info('TM_acme', { subjects_filter: '>' });
    expect(config).toMatchObject({ max_msgs_per_subject: 1, allow_direct: true, discard: 'old', retention: 'limits' });
    expect(state.subjects).toEqual({ 'tm.v1.acme.route.cart.production.v1': 1, 'tm.v1.acme.meta': 1 });
    const held = await client.request('$JS.API.DIRECT.GET.TM_acme.tm.v1.acme.meta');
    expect(StreamMeta.decode(held.data)).toMatchObject({
      epoch: 'epoch',
      revision: 1n,
      commitId: 'commit-1',
      term: 1n,
    });
  });

  test('carries the correlation id of each change, and an id that names its place', async () => {
    await using opened = await open();
    const [stream] = opened.streams;
    await stream.create(tenant);
    await stream.append(tenant, { after: 0, changes: exampleChanges(1, 1), meta: undefined });
    const { header } = await (await client.jetstreamManager()).streams.getMessage('TM_acme', { seq: 1 });
    expect(header.get('x-correlation-id')).toBe('correlation');
    expect(header.get('Nats-Msg-Id')).toMatch(/^acme:1:\w{22}$/);
  });

  test('leaves out what a resource was before', async () => {
    await using opened = await open();
    const [stream] = opened.streams;
    await stream.create(tenant);
    const [change] = exampleChanges(1, 1) as [Change];
    if (change.subject.kind !== 'route') throw new Error('an example is of a route');
    const withBefore = { ...change, subject: { ...change.subject, before: change.subject.after } };
    await stream.append(tenant, { after: 0, changes: [withBefore], meta: undefined });
    for await (const entry of stream.entries(tenant)) expect(entry.change).toEqual(change);
  });

  test.each(['no change at all', ''])('an entry that holds %j is told as such', async (text) => {
    await using opened = await open();
    const [stream] = opened.streams;
    await stream.create(tenant);
    const subject = 'tm.v1.acme.route.cart.production.v1';
    await client.jetstream().publish(subject, StringCodec().encode(text));
    for await (const entry of stream.entries(tenant))
      expect(entry).toEqual({ subject, sequence: 1, change: undefined });
    expect.assertions(1);
  });

  test('leaves no consumer behind when its entries were read', async () => {
    await using opened = await open();
    const [stream] = opened.streams;
    await stream.create(tenant);
    await stream.append(tenant, { after: 0, changes: exampleChanges(1, 10), meta: undefined });
    for await (const { sequence } of stream.entries(tenant)) expect(sequence).toBeGreaterThan(0);
    expect((await (await client.jetstreamManager()).streams.info('TM_acme')).state.consumer_count).toBe(0);
  });

  test('tells an update in parts when it is larger than a message, and its receivers can put it together', async () => {
    await using opened = await open();
    const [stream] = opened.streams;
    const labels = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`label-${index}`, 'x'.repeat(60)]));
    const changes = exampleChanges(1, 1_000).map((change): Change => {
      const { revision } = change;
      const value = { ...exampleRouteValue({ labels }), key: exampleKey(`v${revision}`), revision, etag: 'e' };
      const after = { ...value, createTimeMs: 1, updateTimeMs: 1, updatedBy: 'alice' };
      return { ...change, subject: { kind: 'route', before: undefined, after } };
    });
    const heard: StreamUpdate[] = [];
    const complete = Promise.withResolvers<void>();
    const subscription = client.subscribe('tm.v1.acme.live', {
      callback: (_error, { data }) => {
        const update = StreamUpdate.decode(data);
        heard.push(update);
        if (!update.continued) complete.resolve();
      },
    });
    await client.flush();
    const position = { revision: 1_000, commitId: 'commit-1000' };
    stream.tell(tenant, { epoch: 'e', after: 0, position, digest: 'd', term: 3, changes });
    await stream.told();
    await complete.promise;
    subscription.unsubscribe();
    expect(heard.length).toBeGreaterThan(1);
    expect(heard.map(({ continued }) => continued)).toEqual(heard.map((_, index) => index < heard.length - 1));
    for (const update of heard)
      expect(update).toMatchObject({ epoch: 'e', after: 0n, revision: 1_000n, digest: 'd', term: 3n });
    expect(heard.flatMap((update) => update.changes.map(changeFromWire))).toEqual(changes);
  });

  test('hears questions and answers them', async () => {
    await using opened = await open();
    const [stream] = opened.streams;
    const position = { revision: 7, commitId: 'c' };
    using _answering = stream.answer((question) => {
      const known = { epoch: 'e', after: 7, position, digest: 'd', term: 2, changes: [] };
      question.answer(question.tenant === 'acme' ? known : undefined, 12.3);
    });
    // The subscription is made when the connection is there, and is on the server when it has answered.
    await stream.told();
    const acme = StreamAnswer.decode((await client.request('tm.v1.acme.ask')).data);
    expect(acme.stalenessMs).toBe(13n);
    expect(acme.result?.value).toMatchObject({ epoch: 'e', after: 7n, revision: 7n, commitId: 'c', changes: [] });
    const nobody = StreamAnswer.decode((await client.request('tm.v1.nobody.ask')).data);
    expect(nobody.result).toEqual({ $case: 'tenantNotFound', value: true });
  });
});
