/**
 * The import table of the repository: which code may import which. `architecture.test.ts` proves it for every import.
 * To change who may import whom, change a row here and say why in the commit.
 */

/** One row. A file belongs to the first row whose `files` matches its path. */
export interface Layer {
  readonly name: string;
  /** Path of the repository, with `/`. */
  readonly files: RegExp;
  /** Names of the other rows it may import from; its own files it always may. `*`: any. */
  readonly imports: readonly string[];
  /** npm packages and `node:` modules, by name or by prefix with a trailing `*`. */
  readonly packages: readonly string[];
}

/** What both ends of a gRPC connection need. */
const grpc = ['@grpc/grpc-js'];

/** What the data plane shares with the control plane. */
const shared = ['domain', 'wire', 'platform', 'gen', 'client', 'serving'];

/** What runs the product from outside may build on: it starts composition roots as processes, it does not import them. */
const outside = ['cli', 'client', 'platform', 'gen', 'domain'];

export const layers: readonly Layer[] = [
  // Composition roots: they see everything, and nobody sees them.
  { name: 'main', files: /^(.*\/)?main\.ts$/, imports: ['*'], packages: ['*'] },
  // What main.ts starts, apart from it so that a test can start it too: only they may import it (decision 0003).
  { name: 'control-plane', files: /^src\/control-plane\.ts$/, imports: ['*'], packages: ['node:*', ...grpc] },
  {
    name: 'sidecar-root',
    files: /^sidecar\/sidecar\.ts$/,
    imports: [...shared, 'sidecar', 'sidecar/wire'],
    packages: ['node:*', ...grpc, 'nats'],
  },

  // What everybody shares. `domain` is pure: no packages, not even `node:`.
  { name: 'gen', files: /^src\/gen\//, imports: [], packages: ['@bufbuild/protobuf*', ...grpc] },
  // RE2, the one package of the domain: as pure as its other functions, loaded at its first use (decision 0005).
  { name: 'domain/regex', files: /^src\/domain\/regex\//, imports: ['domain'], packages: ['node:module', 're2js'] },
  { name: 'domain', files: /^src\/domain\//, imports: ['domain/regex'], packages: [] },
  { name: 'wire', files: /^src\/wire\//, imports: ['domain', 'gen'], packages: ['@bufbuild/protobuf*', ...grpc] },
  {
    name: 'platform',
    files: /^src\/platform\//,
    imports: [],
    packages: [
      'node:*',
      ...grpc,
      '@grpc/proto-loader',
      '@grpc/reflection',
      'grpc-health-check',
      'lru-cache',
      'nats',
      'pino',
      'prom-client',
      'rate-limiter-flexible',
    ],
  },

  // The services that control plane and sidecar serve alike, over whatever answers (decision 0003).
  { name: 'serving', files: /^src\/serving\//, imports: ['domain', 'wire', 'platform', 'gen'], packages: grpc },

  // The control plane: use cases over ports, edges around them.
  { name: 'ports', files: /^src\/ports\//, imports: ['domain'], packages: [] },
  { name: 'app', files: /^src\/app\//, imports: ['domain', 'ports', 'platform'], packages: [] },
  ...['grpc', 'xds', 'http'].map((edge) => ({
    name: `inbound/${edge}`,
    files: new RegExp(`^src/inbound/${edge}/`),
    imports: ['domain', 'ports', 'app', 'serving', 'platform', 'wire', 'gen'],
    packages: ['node:*', ...grpc],
  })),
  {
    name: 'outbound/postgres',
    files: /^src\/outbound\/postgres\//,
    imports: ['domain', 'ports', 'platform', 'wire'],
    packages: ['node:*', 'pg'],
  },
  {
    name: 'outbound/nats',
    files: /^src\/outbound\/nats\//,
    imports: ['domain', 'ports', 'platform', 'wire'],
    packages: ['node:*', 'nats'],
  },
  { name: 'config', files: /^src\/config\.ts$/, imports: ['domain', 'platform'], packages: ['node:*'] },

  // The public library and what is thin over it.
  {
    name: 'client',
    files: /^src\/client\//,
    // The engine's client, which is light: it knows nothing of the sidecar, and is no part of its inside.
    imports: ['domain', 'wire', 'platform', 'gen', 'sidecar/wire'],
    packages: ['node:*', ...grpc],
  },
  {
    name: 'cli',
    files: /^src\/cli\//,
    imports: ['domain', 'wire', 'platform', 'gen', 'client'],
    packages: ['node:*', ...grpc, '@grpc/proto-loader', 'commander', 'yaml', 'zod'],
  },

  // HTTP/2 and gRPC framing: knows nothing of the product, and could be a package of its own.
  { name: 'sidecar/wire', files: /^sidecar\/wire\//, imports: [], packages: ['node:*'] },

  // The data plane: never the control plane's inside, never deploy.
  {
    name: 'sidecar',
    files: /^sidecar\//,
    imports: [...shared, 'sidecar/wire'],
    packages: ['node:*', ...grpc, '@bufbuild/protobuf*', 'lru-cache', 'nats', 'opossum'],
  },

  // Around them.
  { name: 'deploy/embedded', files: /^deploy\/embedded\//, imports: outside, packages: ['node:*', ...grpc, 'pg'] },
  { name: 'deploy/tools', files: /^deploy\/tools\//, imports: outside, packages: ['node:*', ...grpc, 'yaml'] },
  { name: 'test', files: /^(test\/|vitest\.config\.ts$)/, imports: ['*'], packages: ['*'] },
];

/** The names of rows whose files nobody imports, whatever their own row says. */
export const importableByNobody: readonly string[] = ['main'];

export function layerOf(path: string): Layer | undefined {
  return layers.find((layer) => layer.files.test(path));
}

export function mayImport(from: Layer, to: Layer): boolean {
  if (importableByNobody.includes(to.name)) return false;
  return from.name === to.name || from.imports.includes('*') || from.imports.includes(to.name);
}

export function mayUsePackage(from: Layer, specifier: string): boolean {
  return from.packages.some((allowed) => {
    if (allowed === '*') return true;
    const name = allowed.endsWith('*') ? allowed.slice(0, -1) : allowed;
    // `node:*` is a prefix of `node:net`; `@grpc/grpc-js` covers `@grpc/grpc-js/build/...`, not `@grpc/grpc-js-xds`.
    return name.endsWith(':') ? specifier.startsWith(name) : specifier === name || specifier.startsWith(`${name}/`);
  });
}
