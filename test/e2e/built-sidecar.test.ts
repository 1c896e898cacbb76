import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { repository, runCommand } from '../../deploy/tools/run-command.ts';
import { frontKinds } from '../../sidecar/front/front.ts';
import { SnapshotFiles } from '../../sidecar/snapshot/snapshot-files.ts';
import { SnapshotMemory } from '../../sidecar/snapshot/snapshot-memory.ts';
import { createClient } from '../../src/client/index.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createRoute, exampleKey } from '../fakes/example-configuration.ts';
import { SidecarHistory } from '../fakes/sidecar-history.ts';
import { startProcess } from '../support/sidecar-process.ts';
import { makeSocketDirectory } from '../support/sidecar.ts';

const built = join(repository, 'dist/sidecar');

let started: AsyncDisposableStack;
let directory: string;

beforeAll(async () => {
  const { code, output } = await runCommand(['npm', 'run', 'build']);
  expect(code, output).toBe(0);
  // As the Dockerfile does.
  await cp(join(repository, 'proto'), join(repository, 'dist/proto'), { recursive: true });
});
beforeEach(async () => {
  started = new AsyncDisposableStack();
  directory = started.use(await makeSocketDirectory()).path;
});
afterEach(async () => await started.disposeAsync());

/** Two versions, and a rule that sends some calls to the second. */
async function leaveSnapshot(): Promise<void> {
  const history = new SidecarHistory('acme');
  history.commit(createRoute(exampleKey('v1')), createRoute(exampleKey('v2')));
  const { tenant, service, environment } = exampleKey();
  const isBeta = { name: 'user', predicate: { kind: 'regex', pattern: 'beta-[0-9]+' } } as const;
  const rule = { name: 'beta', attributes: [isBeta], method: '', version: 'v2', split: [] };
  const value = { defaultVersion: 'v1', split: [], rules: [rule] };
  history.commit({ kind: 'set_traffic_policy', key: { tenant, service, environment }, value, etag: '' });
  const memory = new SnapshotMemory({ bytesMax: 1_000_000 }).tenant('acme');
  memory.replace(history.snapshot());
  const files = new SnapshotFiles({ directory, logger: createLogger('sidecar', 'silent'), processId: process.pid });
  const footer = { tenant: 'acme', state: 'ACTIVE', complete: true, services: null, verifiedAtMs: 1 } as const;
  await files.write(memory, () => ({ ...footer, position: history.position }));
}

describe.each(frontKinds)('the built sidecar over %s', (front) => {
  test.each(['grpc://127.0.0.1:1', 'nats://127.0.0.1:1'])(
    'answers from its disk while %s is down, rules and reflection too',
    async (source) => {
      await leaveSnapshot();
      const sidecar = started.use(
        await startProcess('builtSidecar', {
          TM_SIDECAR_ADDRESS: 'off',
          TM_SIDECAR_SOCKET: join(directory, 'sidecar.sock'),
          TM_SIDECAR_SOURCE: source,
          TM_SIDECAR_TENANTS: 'acme',
          TM_SIDECAR_STATE_DIR: directory,
          TM_SIDECAR_WIRE: front,
        }),
      );
      const client = started.use(createClient({ address: sidecar.addresses[0] ?? '' }));
      const resolve = async (user: string) =>
        await client.resolver.resolve({ key: exampleKey(''), attributes: { user } });
      expect(await resolve('beta-1')).toMatchObject({ route: { key: { version: 'v2' } }, freshness: { stale: true } });
      expect(await resolve('other')).toMatchObject({ route: { key: { version: 'v1' } } });

      const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
      const asIs = (bytes: Buffer): Buffer => bytes;
      const codecs = {
        requestSerialize: asIs,
        requestDeserialize: asIs,
        responseSerialize: asIs,
        responseDeserialize: asIs,
      };
      const method = { path, requestStream: true, responseStream: true, ...codecs };
      async function* listServices() {
        yield Buffer.from([0x3a, 0]);
      }
      for await (const answer of client.transport.duplex(method, listServices()))
        expect(answer.toString('latin1')).toContain('trafficmanager.v1.ResolverService');
    },
  );
});

test('a start reads no file but its own, and in them no package that only some need', async () => {
  const read = new Set<string>();
  const packages = new Set<string>();
  const follow = async (name: string): Promise<void> => {
    if (read.has(name)) return;
    read.add(name);
    const code = await readFile(join(built, name), 'utf8');
    // The bundler says above each module where it comes from.
    for (const [, from = ''] of code.matchAll(/^\/\/.*node_modules\/((?:@[^/]+\/)?[^/]+)/gm)) packages.add(from);
    for (const [, specifier = ''] of code.matchAll(/^(?:import|export) (?:[^'"]* from )?["']([^"']+)["'];$/gm)) {
      if (specifier.startsWith('./')) await follow(specifier.slice('./'.length));
      else expect(specifier).toMatch(/^node:/);
    }
  };
  await follow('main.js');
  expect(read.size).toBeLessThan(10);
  expect(read).not.toContain('main-open-nats-source.js');
  expect(read).not.toContain('main-wire-front.js');
  const ofPino = ['@pinojs/redact', 'atomic-sleep', 'on-exit-leak-free', 'pino', 'pino-std-serializers'];
  const ofPinoToo = ['quick-format-unescaped', 'safe-stable-stringify', 'sonic-boom', 'thread-stream'];
  const ofGrpc = ['@bufbuild/protobuf', '@grpc/grpc-js', '@js-sdsl/ordered-map'];
  expect([...packages].toSorted()).toEqual([...ofPino, ...ofPinoToo, ...ofGrpc, 'lru-cache', 'opossum'].toSorted());
});
