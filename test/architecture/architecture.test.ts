import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { importableByNobody, layers, mayImport } from './layers.ts';
import { fileLinesMax, findViolations } from './rules.ts';
import type { RuleName } from './rules.ts';
import { parseSource, readSourceTree } from './source-tree.ts';

const repository = resolve(import.meta.dirname, '../..');

describe('the repository', () => {
  const files = readSourceTree(repository);

  it('is read', () => {
    expect(files.map((file) => file.path)).toEqual(
      expect.arrayContaining([
        'src/gen/trafficmanager/v1/route.ts',
        'test/architecture/architecture.test.ts',
        'vitest.config.ts',
      ]),
    );
    expect(files.filter((file) => file.path.includes('fixtures'))).toEqual([]);
  });

  it('keeps the import table and the rules for files and names', () => {
    const breaches = findViolations(files).map(
      ({ file, line, rule, message }) => `${file}:${line} ${rule}: ${message}`,
    );
    expect(breaches).toEqual([]);
  });
});

describe('the rules can fail', () => {
  // Each tree under fixtures/trees holds one breach, and exactly that one must be found.
  const planted: Record<string, readonly [rule: RuleName, file: string][]> = {
    clean: [],
    'app-imports-adapter': [['import-table', 'src/app/read-route.ts']],
    'type-only-import': [['import-table', 'src/domain/route.ts']],
    'import-type-expression': [['import-table', 'src/domain/route.ts']],
    'dynamic-import': [['import-table', 'sidecar/lookup/lookup.ts']],
    're-export': [['import-table', 'src/client/connect.ts']],
    'require-call': [
      ['import-table', 'src/domain/route.ts'],
      ['import-table', 'src/domain/route.ts'],
    ],
    'foreign-package': [['import-table', 'src/app/read-route.ts']],
    'adapter-imports-adapter': [['import-table', 'src/outbound/nats/publish.ts']],
    'sidecar-imports-deploy': [['import-table', 'sidecar/sync/start.ts']],
    'product-imports-test': [['import-table', 'src/platform/clock.ts']],
    'main-imported': [['main-import', 'test/unit/main.test.ts']],
    'unknown-layer': [['unknown-layer', 'src/helpers/text.ts']],
    'computed-import': [['computed-import', 'src/platform/plugin.ts']],
    'type-cycle': [['cycle', 'src/domain/policy.ts']],
    'file-name': [['file-name', 'src/domain/routeKey.ts']],
    'javascript-file': [['file-name', 'src/domain/route.mjs']],
    'default-export': [['default-export', 'src/domain/route.ts']],
    'default-export-by-name': [['default-export', 'src/domain/route.ts']],
    barrel: [['barrel', 'src/domain/index.ts']],
    'banned-suffix': [['banned-name', 'src/domain/route.ts']],
    'banned-function': [['banned-name', 'src/domain/route.ts']],
    'banned-file': [['banned-name', 'src/domain/string-utils.ts']],
    'interface-prefix': [['banned-name', 'src/ports/route-store.ts']],
  };

  it.each(Object.entries(planted))('%s', (tree, breaches) => {
    const files = readSourceTree(resolve(import.meta.dirname, 'fixtures/trees', tree));
    expect(files.length).toBeGreaterThan(0);
    expect(findViolations(files).map(({ rule, file }) => [rule, file])).toEqual(breaches);
  });

  it('a file of one line too many', () => {
    const file = parseSource('src/domain/route.ts', 'export {};\n'.repeat(fileLinesMax));
    expect(findViolations([file])).toEqual([]);
    const longer = parseSource('src/domain/route.ts', 'export {};\n'.repeat(fileLinesMax + 1));
    expect(findViolations([longer]).map(({ rule }) => rule)).toEqual(['file-size']);
  });

  it('a file that does not parse', () => {
    expect(() => parseSource('src/domain/route.ts', 'import {')).toThrow('does not parse');
  });
});

describe('the import table', () => {
  // One real path per row, so that every pair of rows can be tried.
  const paths: Record<string, string> = {
    main: 'src/main.ts',
    config: 'src/config.ts',
    'control-plane': 'src/control-plane.ts',
    'sidecar-root': 'sidecar/sidecar.ts',
  };
  const pathOf = (name: string): string =>
    paths[name] ?? (/^(sidecar|deploy|test)/.test(name) ? `${name}/x.ts` : `src/${name}/x.ts`);

  it.each(layers.map((layer) => [layer.name, layer] as const))(
    '%s imports what its row says, and no more',
    (_, from) => {
      for (const to of layers) {
        const source = `import type { x } from '${relative(pathOf(from.name), pathOf(to.name))}';`;
        const found = findViolations([parseSource(pathOf(from.name), `${source}\nexport const y = 1;\n`)]);
        const isSelf = from === to && !importableByNobody.includes(from.name);
        expect(found.length === 0 || (isSelf && found[0]?.rule === 'cycle'), `${from.name} -> ${to.name}`).toBe(
          mayImport(from, to),
        );
      }
    },
  );

  it('names only rows that exist', () => {
    const names = ['*', ...layers.map((layer) => layer.name)];
    for (const layer of layers) expect(names).toEqual(expect.arrayContaining([...layer.imports]));
  });

  it.each([
    ['src/domain/x.ts', 'src/app/x.ts'],
    ['src/domain/x.ts', 'src/gen/x.ts'],
    ['src/ports/x.ts', 'src/app/x.ts'],
    ['src/app/x.ts', 'src/wire/x.ts'],
    ['src/platform/x.ts', 'src/domain/x.ts'],
    ['src/outbound/nats/x.ts', 'src/app/x.ts'],
    ['src/inbound/xds/x.ts', 'src/inbound/grpc/x.ts'],
    ['src/inbound/grpc/x.ts', 'src/outbound/postgres/x.ts'],
    ['src/client/x.ts', 'src/app/x.ts'],
    ['src/cli/x.ts', 'src/app/x.ts'],
    ['sidecar/lookup/x.ts', 'src/ports/x.ts'],
    ['sidecar/lookup/x.ts', 'src/outbound/nats/x.ts'],
    ['sidecar/lookup/x.ts', 'deploy/embedded/x.ts'],
    ['deploy/embedded/x.ts', 'src/outbound/postgres/x.ts'],
    ['src/app/x.ts', 'sidecar/lookup/x.ts'],
    ['sidecar/lookup/x.ts', 'src/control-plane.ts'],
    ['src/app/x.ts', 'src/control-plane.ts'],
    ['sidecar/lookup/x.ts', 'sidecar/sidecar.ts'],
    ['deploy/embedded/x.ts', 'sidecar/sidecar.ts'],
    ['src/serving/x.ts', 'src/app/x.ts'],
    ['test/e2e/x.ts', 'src/main.ts'],
  ])('refuses %s -> %s, whatever becomes of the rows', (from, to) => {
    const file = parseSource(from, `import { x } from '${relative(from, to)}';\nexport const y = x;\n`);
    expect(findViolations([file]).map(({ rule }) => rule)).toEqual([
      expect.stringMatching(/^(import-table|main-import)$/),
    ]);
  });

  it('sees every form of an import', () => {
    const file = parseSource(
      'src/domain/x.ts',
      [
        `import a from './a.ts';`,
        `import type { B } from './b.ts';`,
        `import './c.ts';`,
        `export * from './d.ts';`,
        `export type { E } from './e.ts';`,
        `type F = import('./f.ts').F;`,
        `const g = await import('./g.ts');`,
        'const h = await import(`./h.ts`);',
        `import i = require('./i.ts');`,
        `const j = await import('./' + 'j.ts');`,
        `const text = "import './k.ts'"; // import './l.ts'`,
      ].join('\n'),
    );
    expect(file.imports.map(({ form, specifier, line }) => `${line} ${form} ${specifier}`).toSorted()).toEqual(
      [
        '1 static ./a.ts',
        '2 type ./b.ts',
        '3 static ./c.ts',
        '4 re-export ./d.ts',
        '5 re-export ./e.ts',
        '6 import-type ./f.ts',
        '7 dynamic ./g.ts',
        '8 dynamic ./h.ts',
        '9 require ./i.ts',
        '10 computed ',
      ].toSorted(),
    );
  });
});

function relative(from: string, to: string): string {
  return `${'../'.repeat(from.split('/').length - 1) || './'}${to}`;
}
