import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Footer } from '../../../sidecar/snapshot/disk-format.ts';
import { SnapshotFiles } from '../../../sidecar/snapshot/snapshot-files.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import type { TenantMemory } from '../../../sidecar/snapshot/tenant-memory.ts';
import { resolve } from '../../../src/domain/resolve.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { createRoute, exampleKey, moveRoute, setDefaultVersion } from '../../fakes/example-configuration.ts';
import { rangeOf, SidecarHistory } from '../../fakes/sidecar-history.ts';

let directory: string;
let refusals: { reason: string }[];
let files: SnapshotFiles;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tm-files-'));
  refusals = [];
  const logger = createLogger('sidecar', 'silent');
  logger.warn = (fields: { reason: string }) => void refusals.push(fields);
  files = new SnapshotFiles({ directory: join(directory, 'state'), logger, processId: 7 });
  await files.tenants();
});

afterEach(async () => await rm(directory, { recursive: true, force: true }));

const pathOf = (tenant: string): string => join(directory, 'state', `${tenant}.snapshot`);
const keyOf = (service: string) => exampleKey('v1', { service });

/** More groups than one piece. */
function example(): { history: SidecarHistory; memory: TenantMemory } {
  const history = new SidecarHistory('acme');
  for (let index = 0; index < 300; index++) history.commit(createRoute(keyOf(`service-${index}`)));
  history.commit(setDefaultVersion(keyOf('service-7'), 'v1'));
  const memory = newMemory();
  memory.replace(history.snapshot());
  return { history, memory };
}

function newMemory(): TenantMemory {
  return new SnapshotMemory({ bytesMax: 10_000_000 }).tenant('acme');
}

function footerOf(memory: TenantMemory, fields: Partial<Footer> = {}): () => Footer {
  return () => ({
    tenant: 'acme',
    state: memory.tenant?.state ?? 'ACTIVE',
    position: memory.position,
    complete: memory.isComplete,
    services: memory.services,
    verifiedAtMs: 1_000,
    ...fields,
  });
}

/** Resolves when the first piece of a file has been taken from a memory, and not the second. */
function untilHalfIsRead(memory: TenantMemory): Promise<void> {
  const peek = memory.peek.bind(memory);
  let peeks = 0;
  return new Promise((done) => {
    memory.peek = (name) => {
      if (++peeks === 256) done();
      return peek(name);
    };
  });
}

function contentOf(memory: TenantMemory): unknown {
  return [...memory.all()].map(({ routes, policy, asOf }) => ({ routes, policy, asOf }));
}

test('what is read is what was written', async () => {
  const { memory } = example();
  expect(await files.write(memory, footerOf(memory))).toBe(true);
  const snapshot = await files.read('acme', null);
  if (snapshot === undefined) throw new Error('there is one');
  expect(snapshot).toMatchObject({ position: memory.position, complete: true, verifiedAtMs: 1_000 });
  const restored = newMemory();
  restored.restore(snapshot);
  expect(contentOf(restored)).toEqual(contentOf(memory));
  expect(restored).toMatchObject({ position: memory.position, isComplete: true, tenant: { state: 'ACTIVE' } });
  const lookup = { ...keyOf('service-7'), version: '', hashKey: '', attributes: {}, method: '' };
  expect(resolve(restored, lookup, () => 0)).toMatchObject({ reason: 'DEFAULT_VERSION' });
  expect(await files.tenants()).toEqual(['acme']);
});

test('what changes while it is written is in the file as it is at the end', async () => {
  const { memory, history } = example();
  const writing = files.write(memory, footerOf(memory));
  await untilHalfIsRead(memory);
  for (let index = 0; index < 300; index += 10)
    memory.advance(rangeOf(history.commit(moveRoute(keyOf(`service-${index}`), `grpc://moved-${index}:1`))));
  memory.advance(rangeOf(history.commit(createRoute(keyOf('new')))));
  expect(await writing).toBe(true);
  const snapshot = await files.read('acme', null);
  const restored = newMemory();
  if (snapshot !== undefined) restored.restore(snapshot);
  expect(restored.position).toEqual(history.position);
  const byName = (held: TenantMemory) =>
    new Map([...held.all()].map((group) => [[...group.routes.values()][0]?.key.service, group.routes]));
  expect(byName(restored)).toEqual(byName(memory));
});

test('a memory that is taken anew while it is written is not written, and the file of before stays', async () => {
  const { memory, history } = example();
  await files.write(memory, footerOf(memory));
  const before = await readFile(pathOf('acme'));
  const writing = files.write(memory, footerOf(memory));
  await untilHalfIsRead(memory);
  history.commit(createRoute(keyOf('new')));
  memory.replace(history.snapshot());
  expect(await writing).toBe(false);
  expect(await readFile(pathOf('acme'))).toEqual(before);
  expect(await readdir(join(directory, 'state'))).toEqual(['acme.snapshot']);
});

test('a file is for its user only, and so is its directory', async () => {
  const { memory } = example();
  await files.write(memory, footerOf(memory));
  expect((await stat(pathOf('acme'))).mode & 0o777).toBe(0o600);
  expect((await stat(join(directory, 'state'))).mode & 0o777).toBe(0o700);
});

test('a file cut off anywhere is refused, and nothing of it is taken', async () => {
  const { memory } = example();
  await files.write(memory, footerOf(memory));
  const whole = await readFile(pathOf('acme'));
  const cuts = [0, 1, 7, 8, 9, 100, whole.length >> 1, whole.length - 33, whole.length - 1];
  for (const bytes of cuts) {
    await writeFile(pathOf('acme'), whole.subarray(0, bytes));
    expect(await files.read('acme', null), `${bytes} bytes`).toBeUndefined();
  }
  expect(refusals).toHaveLength(cuts.length);
});

test('a file with any bit turned is refused', async () => {
  const { memory } = example();
  await files.write(memory, footerOf(memory));
  const whole = await readFile(pathOf('acme'));
  for (let at = 0; at < whole.length; at += 389) {
    const harmed = Buffer.from(whole);
    harmed[at] = (harmed[at] ?? 0) ^ (1 << (at % 8));
    await writeFile(pathOf('acme'), harmed);
    expect(await files.read('acme', null), `byte ${at}`).toBeUndefined();
  }
  expect(new Set(refusals.map(({ reason }) => reason))).toContain(
    'its checksum does not match: it was cut off or changed',
  );
});

test('a file of another format, another tenant or other services is refused, each with its reason', async () => {
  const { memory } = example();
  await files.write(memory, footerOf(memory));
  const later = await readFile(pathOf('acme'));
  later.writeUInt16LE(2, 6);
  await writeFile(pathOf('acme'), later);
  expect(await files.read('acme', null)).toBeUndefined();
  await files.write(memory, footerOf(memory));
  await writeFile(pathOf('globex'), await readFile(pathOf('acme')));
  expect(await files.read('globex', null)).toBeUndefined();
  expect(await files.read('acme', ['cart'])).toBeUndefined();
  expect(refusals.map(({ reason }) => reason)).toEqual([
    'its format is 2, and this program knows 1',
    'it is of tenant acme',
    'it is of other services than are subscribed to now',
  ]);
});

test('where there is no file, nothing is said of it; what a killed process left half-written is cleared', async () => {
  await writeFile(`${pathOf('acme')}.1234`, 'half');
  expect(await files.tenants()).toEqual([]);
  expect(await readdir(join(directory, 'state'))).toEqual([]);
  expect(await files.read('acme', null)).toBeUndefined();
  expect(refusals).toEqual([]);
});

/** A file as another program might write it: whole by its checksum. */
async function rewrite(tenant: string, change: (content: Buffer) => Buffer): Promise<void> {
  const content = change((await readFile(pathOf(tenant))).subarray(0, -32));
  await writeFile(pathOf(tenant), Buffer.concat([content, createHash('sha256').update(content).digest()]));
}

const footers: Record<string, (footer: Footer) => unknown> = {
  'without a position': (footer) => ({ ...footer, position: undefined }),
  'without an age': (footer) => ({ ...footer, verifiedAtMs: null }),
  'in an unknown state': (footer) => ({ ...footer, state: 'PAUSED' }),
  'that is nothing': () => null,
};

test.each(Object.entries(footers))(
  'a file with a footer %s is refused, though its checksum is right',
  async (_, spoil) => {
    const { memory } = example();
    await files.write(memory, footerOf(memory));
    await rewrite('acme', (content) => {
      const start = content.length - 4 - content.readUInt32LE(content.length - 4);
      const footer = JSON.parse(content.toString('utf8', start, content.length - 4)) as Footer;
      const text = Buffer.from(JSON.stringify(spoil(footer)));
      const length = Buffer.alloc(4);
      length.writeUInt32LE(text.length);
      return Buffer.concat([content.subarray(0, start), text, length]);
    });
    expect(await files.read('acme', null)).toBeUndefined();
    expect(refusals.map(({ reason }) => reason)).toEqual([
      'what it says of itself cannot be understood: another program wrote it',
    ]);
  },
);

test('a file with a group that does not end where its record does is refused, though its checksum is right', async () => {
  const { memory } = example();
  await files.write(memory, footerOf(memory));
  await rewrite('acme', (content) => {
    // The first group says that it has a thousand routes.
    const names = (content[8] ?? 0) + (content[9] ?? 0);
    content.writeUInt32LE(1_000, 8 + 18 + names + 4);
    return content;
  });
  expect(await files.read('acme', null)).toBeUndefined();
  expect(refusals.map(({ reason }) => reason)).toEqual([
    'its records do not end where they should: another program wrote it',
  ]);
});

test('a file whose records do not end where they should is refused, though its checksum is right', async () => {
  const { memory } = example();
  await files.write(memory, footerOf(memory));
  const whole = await readFile(pathOf('acme'));
  // The first record says that its block is one byte longer than it is.
  whole.writeUInt32LE(whole.readUInt32LE(8 + 2) + 1, 8 + 2);
  const content = whole.subarray(0, -32);
  await writeFile(pathOf('acme'), Buffer.concat([content, createHash('sha256').update(content).digest()]));
  expect(await files.read('acme', null)).toBeUndefined();
  expect(refusals.map(({ reason }) => reason)).toEqual([
    'its records do not end where they should: another program wrote it',
  ]);
});

test('a process that is killed before its file is in its place leaves that of before', async () => {
  const { memory } = example();
  await files.write(memory, footerOf(memory));
  const before = await readFile(pathOf('acme'));
  // Whole, and not renamed.
  await writeFile(`${pathOf('acme')}.1234`, before);
  expect(await files.tenants()).toEqual(['acme']);
  expect(await readdir(join(directory, 'state'))).toEqual(['acme.snapshot']);
  expect(await files.read('acme', null)).toMatchObject({ position: memory.position });
});

test('a write that fails half-way leaves the file of before and nothing else', async () => {
  const { memory } = example();
  await files.write(memory, footerOf(memory));
  const before = await readFile(pathOf('acme'));
  // As when the disk is full: some of it is written already.
  let peeks = 0;
  const peek = memory.peek.bind(memory);
  memory.peek = (name) => {
    if (++peeks > 256) throw new Error('no space left on device');
    return peek(name);
  };
  await expect(files.write(memory, footerOf(memory))).rejects.toThrow('no space left');
  expect(await readFile(pathOf('acme'))).toEqual(before);
  expect(await readdir(join(directory, 'state'))).toEqual(['acme.snapshot']);
});

test('what is no file at all is refused, and does not end the process', async () => {
  await mkdir(pathOf('acme'));
  expect(await files.tenants()).toEqual(['acme']);
  expect(await files.read('acme', null)).toBeUndefined();
  expect(refusals.map(({ reason }) => reason)).toEqual(['it cannot be read']);
});

test('a group that is evicted while the file is written is not in what is restored', async () => {
  const { history } = example();
  const wide = new SnapshotMemory({ bytesMax: 10_000_000 });
  wide.tenant('acme').replace(history.snapshot());
  const memory = new SnapshotMemory({ bytesMax: wide.bytes }).tenant('acme');
  memory.replace(history.snapshot());
  const writing = files.write(memory, footerOf(memory));
  await untilHalfIsRead(memory);
  // The first is the one that was asked for longest ago, and is in the file already.
  memory.advance(rangeOf(history.commit(createRoute(keyOf('new')))));
  expect(memory.peek({ service: 'service-0', environment: 'production' })).toBeUndefined();
  expect(await writing).toBe(true);
  const restored = newMemory();
  const snapshot = await files.read('acme', null);
  if (snapshot !== undefined) restored.restore(snapshot);
  expect(restored.peek({ service: 'service-0', environment: 'production' })).toBeUndefined();
  expect(restored).toMatchObject({ size: memory.size, isComplete: false });
  expect(contentOf(restored)).toHaveLength(memory.size);
});
