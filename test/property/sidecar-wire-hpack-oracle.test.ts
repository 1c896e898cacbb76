import { once } from 'node:events';
import {
  connect,
  createServer,
  sensitiveHeaders,
  type ClientHttp2Session,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
} from 'node:http2';
import { createConnection, type AddressInfo } from 'node:net';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { WheelClock } from '../../sidecar/front/wheel-clock.ts';
import type { StreamAcceptor } from '../../sidecar/wire/connection-options.ts';
import type { HeaderList } from '../../sidecar/wire/header-list.ts';
import { HeaderField } from '../../sidecar/wire/hpack/header-field.ts';
import { wireLimits, type WireLimits } from '../../sidecar/wire/limits.ts';
import { WireClient } from '../../sidecar/wire/wire-client.ts';
import { WireServer } from '../../sidecar/wire/wire-server.ts';
import { systemClock } from '../../src/platform/clock.ts';

// nghttp2 (node:http2) is the oracle: what one engine says, the other one must read, block after block of one connection.

type Pair = readonly [name: string, value: string];
type Block = {
  readonly pairs: readonly Pair[];
  /** Never to be indexed (RFC 7541 §6.2.3). */
  readonly sensitive: boolean;
  /** What the peer sets its table to before the block. */
  readonly tableBytes: number | null;
};

const tableSizes = [0, 64, 4_096, 65_536] as const;
const schedule = (run: () => void): void => void setImmediate(run);

/** Fields that come again and again: together more than a table of 4,096 bytes, so that they drive each other out. */
const pool: readonly Pair[] = Array.from({ length: 24 }, (_none, index) => [
  `x-again-${index}`,
  String.fromCharCode(0x61 + index).repeat(index * 30),
]);
const nameCharacter = fc.constantFrom(...Array.from("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~"));
/** All that RFC 9113 §8.2.1 lets a value hold, and that this engine does: no control character but tab. */
const valueByte = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0x20, max: 0x7e }) },
  { weight: 2, arbitrary: fc.integer({ min: 0x80, max: 0xff }) },
  { weight: 1, arbitrary: fc.constant(0x09) },
);
const value = fc.oneof(
  { weight: 8, arbitrary: fc.array(valueByte, { maxLength: 60 }) },
  { weight: 1, arbitrary: fc.array(valueByte, { minLength: 100, maxLength: 700 }) },
  // Longer than a frame, and than most tables.
  { weight: 1, arbitrary: valueByte.map((byte) => Array.from({ length: 20_000 }, () => byte)) },
);
const freshPair: fc.Arbitrary<Pair> = fc
  .tuple(fc.array(nameCharacter, { minLength: 1, maxLength: 12 }), value)
  .map(([name, bytes]) => [
    `x-${name.join('')}`,
    Buffer.from(bytes)
      .toString('latin1')
      .replace(/^[ \t]+|[ \t]+$/g, ''),
  ]);
const pair = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...pool) }, { weight: 2, arbitrary: freshPair });
const block: fc.Arbitrary<Block> = fc.record({
  pairs: fc.uniqueArray(pair, { maxLength: 12, selector: ([name]) => name }).filter(hasRoom),
  sensitive: fc.boolean(),
  tableBytes: fc.option(fc.constantFrom(...tableSizes), { freq: 4 }),
});
const life = fc.record({
  blocks: fc.array(block, { minLength: 10, maxLength: 40 }),
  ourTableBytes: fc.constantFrom(...tableSizes),
});
const runs = { numRuns: 50 };

function hasRoom(pairs: readonly Pair[]): boolean {
  return pairs.reduce((total, [name, text]) => total + name.length + text.length + 32, 0) < 55_000;
}

function limitsOf(ourTableBytes: number): WireLimits {
  return { ...wireLimits, headerTableBytes: ourTableBytes, headerListBytesMax: 60_000, headerBlockBytesMax: 200_000 };
}

const repeatedFields = new Map(pool.map(([name, text]) => [`${name}\0${text}`, new HeaderField(name, text)]));
const repeated = new Set(repeatedFields.values());

function fieldsOf(pairs: readonly Pair[]): HeaderField[] {
  return pairs.map(([name, text]) => repeatedFields.get(`${name}\0${text}`) ?? new HeaderField(name, text));
}

function outgoing({ pairs, sensitive }: Block): OutgoingHttpHeaders {
  const never = sensitive ? { [sensitiveHeaders]: pairs.map(([name]) => name) } : {};
  return { ...Object.fromEntries(pairs), ...never };
}

/** Without pseudo-headers, and what Node adds of its own. */
function plain(pairs: readonly Pair[]): Pair[] {
  return pairs.filter(([name]) => !name.startsWith(':') && name !== 'date');
}

function pairsOfList(list: HeaderList): Pair[] {
  return plain(list.fields.map((field) => [field.name, field.value]));
}

/** Node's flat list of names and values. */
function pairsOfRaw(raw: readonly string[]): Pair[] {
  const pairs: Pair[] = [];
  for (let at = 0; at < raw.length; at += 2) pairs.push([raw[at] ?? '', raw[at + 1] ?? '']);
  return plain(pairs);
}

/** Changes a node:http2 session's table, and waits until the other side has heard of it. */
async function setTable(session: ClientHttp2Session | ServerHttp2Session, bytes: number): Promise<void> {
  await new Promise<void>((resolve) => {
    session.settings({ headerTableSize: bytes }, () => resolve());
  });
}

it('understands the headers of nghttp2 as a server, and is understood, whatever the tables do', async () => {
  await fc.assert(
    fc.asyncProperty(life, async ({ blocks, ourTableBytes }) => {
      const read: Pair[][] = [];
      const echo: StreamAcceptor = {
        accept: (stream, list) => {
          read.push(pairsOfList(list));
          stream.sendHeaders([new HeaderField(':status', '200'), ...fieldsOf(pairsOfList(list))], true);
        },
      };
      using clock = new WheelClock(systemClock);
      const server = new WireServer({ acceptor: echo, clock, schedule, limits: limitsOf(ourTableBytes), repeated });
      const port = await server.listen({ host: '127.0.0.1', port: 0 });
      const session = connect(`http://127.0.0.1:${port}`, {
        maxDeflateDynamicTableSize: 65_536,
        maxHeaderListPairs: 200,
      });
      const answers: Pair[][] = [];
      for (const each of blocks) {
        if (each.tableBytes !== null) await setTable(session, each.tableBytes);
        const request = session.request({ ':method': 'POST', ...outgoing(each) }, { endStream: true });
        const [, , raw] = (await once(request, 'response')) as [unknown, unknown, string[]];
        request.resume();
        answers.push(pairsOfRaw(raw));
      }
      const given = blocks.map(({ pairs }) => pairs);
      expect(read).toEqual(given);
      expect(answers).toEqual(given);
      session.destroy();
      server.close();
      await server.drain();
    }),
    runs,
  );
});

it('understands the headers of nghttp2 as a client, and is understood, whatever the tables do', async () => {
  await fc.assert(
    fc.asyncProperty(life, async ({ blocks, ourTableBytes }) => {
      const server = createServer({ maxDeflateDynamicTableSize: 65_536, maxHeaderListPairs: 200 });
      const sessions: ServerHttp2Session[] = [];
      const read: Pair[][] = [];
      server.on('session', (session) => void sessions.push(session));
      server.on('stream', (stream, _headers, _flags, raw) => {
        const pairs = pairsOfRaw(raw);
        read.push(pairs);
        stream.respond({ ':status': 200, ...outgoing({ pairs, sensitive: read.length % 2 === 0, tableBytes: null }) });
        stream.end();
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      using clock = new WheelClock(systemClock);
      using client = new WireClient({
        clock,
        schedule,
        repeated,
        limits: limitsOf(ourTableBytes),
        connect: () => createConnection({ host: '127.0.0.1', port, noDelay: true }),
      });
      const answers: Pair[][] = [];
      for (const { pairs, tableBytes } of blocks) {
        const session = sessions[0];
        if (tableBytes !== null && session !== undefined) await setTable(session, tableBytes);
        answers.push(await ask(client, pairs));
      }
      const given = blocks.map(({ pairs }) => pairs);
      expect(read).toEqual(given);
      expect(answers).toEqual(given);
      expect(sessions).toHaveLength(1);
      for (const session of sessions) session.destroy();
      server.close();
      await once(server, 'close');
    }),
    runs,
  );
});

/** One request without a body; the fields of its answer. */
function ask(client: WireClient, pairs: readonly Pair[]): Promise<Pair[]> {
  return new Promise((resolve, reject) => {
    let answer: Pair[] = [];
    const pseudo: readonly Pair[] = [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', '/'],
      [':authority', 'peer'],
    ];
    client.connection()?.open(fieldsOf([...pseudo, ...pairs]), true, {
      headers: (list, isLast) => {
        answer = pairsOfList(list);
        if (isLast) resolve(answer);
      },
      data: (_buffer, _start, _end, isLast) => {
        if (isLast) resolve(answer);
      },
      reset: (error) => reject(new Error(`the stream was reset: ${error}`)),
      drained: () => {},
    });
  });
}
