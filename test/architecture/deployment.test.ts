import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { sidecarRuntime } from '../../deploy/embedded/sidecar-runtime.ts';
import { runCommand } from '../../deploy/tools/run-command.ts';

const repository = resolve(import.meta.dirname, '../..');
const manifests = globSync('deploy/**/*.yaml', {
  cwd: repository,
  exclude: (path) => path.startsWith('deploy/examples'),
});
const dockerfile = read('deploy/Dockerfile');
const readme = read('README.md');

/** Variables of ours that the sources read, by name. */
const variablesRead = new Set(
  globSync(['src/**/*.ts', 'sidecar/**/*.ts', 'deploy/embedded/**/*.ts'], { cwd: repository }).flatMap((path) =>
    [...read(path).matchAll(/(?<=['"`])(TM_[A-Z_]+|DATABASE_URL|NATS_URL)(?=['"`])/g)].map(([name]) => name),
  ),
);

describe.each(manifests)('%s', (path) => {
  const text = read(path);

  it('is valid YAML, without duplicate keys', () => {
    for (const document of parseAllDocuments(text, { merge: true, strict: true })) {
      expect([...document.errors, ...document.warnings]).toEqual([]);
    }
  });

  it('sets only variables that exist', () => {
    for (const name of variablesIn(text)) expect(variablesRead, name).toContain(name);
  });

  it('runs only programs that the image has', () => {
    for (const [, program] of text.matchAll(/dist\/([\w/-]+)\.js/g)) {
      expect(existsSync(join(repository, `${program}.ts`)), program).toBe(true);
    }
    if (text.includes('probe.ts')) expect(dockerfile).toContain('deploy/tools/probe.ts ./');
  });
});

describe('a sidecar', () => {
  it('is run by Node in one way, wherever it is started', () => {
    const variables = Object.entries(sidecarRuntime);
    for (const path of ['deploy/compose.yaml', 'deploy/k8s/app-with-sidecar.yaml']) {
      // `NAME: value`, or `name: NAME` and `value: value`.
      const set = new Map(
        [...read(path).matchAll(/(?:name: )?(\w+)(?::|\n\s+value:) '?([^'\n]+)'?$/gm)].map(([, name, value]) => [
          name,
          value,
        ]),
      );
      for (const [name, value] of variables) expect(set.get(name), `${path}: ${name}`).toBe(value);
      expect(set.get('NODE_COMPILE_CACHE')).toMatch(/^\/var\/lib\/traffic-manager\//);
    }
    const { scripts } = JSON.parse(read('package.json')) as { scripts: { sidecar: string } };
    const { NODE_OPTIONS, ...allocator } = sidecarRuntime;
    const settings = Object.entries(allocator).map(([name, value]) => `${name}=${value}`);
    expect(scripts.sidecar).toBe(`${settings.join(' ')} exec node ${NODE_OPTIONS} sidecar/main.ts`);
  });
});

describe('the Dockerfile', () => {
  it('copies only what .dockerignore lets in', () => {
    const admitted = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'));
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources]) =>
      sources!.split(' '),
    );
    expect(copied.length).toBeGreaterThan(0);
    for (const source of copied) {
      expect(admitted).toContain(`!${source}`);
      expect(existsSync(join(repository, source)), source).toBe(true);
    }
  });

  it('starts a program that is built, on the major version of Node that the repository brings', () => {
    const [, program] = /CMD \["node", "dist\/(.+)\.js"\]/.exec(dockerfile)!;
    expect(existsSync(join(repository, `${program}.ts`))).toBe(true);
    const versions = [...dockerfile.matchAll(/^FROM node:(\d+)/gm)].map(([, major]) => major);
    expect(new Set(versions)).toEqual(new Set([process.versions.node.split('.')[0]]));
  });

  it('copies every kind of file that the build leaves behind', () => {
    // tsc emits what it compiles; whatever else lies beside the code is read at run time.
    const others = globSync('{src,sidecar}/**/*.*', { cwd: repository, exclude: (path) => path.endsWith('.ts') });
    const left = others.filter(
      (path) => !path.endsWith('.md') && !path.startsWith('src/outbound/postgres/migrations/'),
    );
    expect(left).toEqual([]);
    expect(dockerfile).toContain('cp -r src/outbound/postgres/migrations dist/src/outbound/postgres/migrations');
  });
});

describe('the probe', () => {
  it.each([
    ['SERVING', 0, ''],
    ['NOT_SERVING', 1, 'not serving'],
  ] as const)('of a server that is %s ends with %i', async (status, code, message) => {
    const server = new Server();
    new HealthImplementation({ '': status }).addToServer(server);
    const port = await new Promise<number>((done, fail) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) done(bound);
        else fail(error);
      });
    });
    try {
      const result = await runCommand(['node', 'deploy/tools/probe.ts', `127.0.0.1:${port}`]);
      expect(result).toEqual({ code, output: expect.stringContaining(message) });
    } finally {
      server.forceShutdown();
    }
  });

  it('of nobody ends with 1', async () => {
    const result = await runCommand(['node', 'deploy/tools/probe.ts', 'unix:/nowhere.sock']);
    expect(result).toEqual({ code: 1, output: expect.stringContaining('UNAVAILABLE') });
  });
});

describe('README.md', () => {
  it('lists the variables that the sources read, and no others', () => {
    // For development, not for operators.
    const internal = new Set(['TM_EXAMPLE']);
    const documented = new Set(variablesIn(readme));
    expect([...documented].toSorted()).toEqual([...variablesRead].filter((name) => !internal.has(name)).toSorted());
  });

  it('says how to start and how to test', () => {
    expect(readme).toContain('```\nnpm ci && npm start\n```');
    expect(readme).toContain('```\nnpm ci && npm test\n```');
  });

  it('links to files that exist', () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, target]) => target!);
    expect(links.length).toBeGreaterThan(0);
    for (const link of links) expect(existsSync(join(repository, link)), link).toBe(true);
  });
});

function read(path: string): string {
  return readFileSync(join(repository, path), 'utf8');
}

function variablesIn(text: string): string[] {
  return [...new Set([...text.matchAll(/\b(TM_[A-Z_]+|DATABASE_URL|NATS_URL)\b/g)].map(([name]) => name))];
}
