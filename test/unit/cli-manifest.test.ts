import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { RouteState } from '../../src/client/index.ts';
import { manifestResources } from '../../src/cli/manifest-resources.ts';
import { ManifestError, parseManifest } from '../../src/cli/manifest.ts';
import { cliLimits } from '../../src/cli/limits.ts';

const SHOP = new URL('../../deploy/examples/shop.yaml', import.meta.url);

test('the example holds two tenants, a 90:10 split, an inactive route and quoted versions', async () => {
  const manifest = parseManifest({ file: 'shop.yaml', text: await readFile(SHOP, 'utf8') });
  const { tenants, routes, policies } = manifestResources(manifest);

  expect(tenants.map(({ tenant }) => tenant)).toEqual(['acme', 'globex']);
  expect(policies.find(({ key }) => key?.tenant === 'acme' && key.service === 'cart')).toMatchObject({
    key: { environment: 'production' },
    defaultVersion: 'v1',
    split: [
      { version: 'v1', weight: 90 },
      { version: 'v2', weight: 10 },
    ],
  });
  const versionsOf = (state: RouteState) =>
    routes.filter((route) => route.state === state).map(({ key }) => key?.version);
  expect(versionsOf(RouteState.ROUTE_STATE_INACTIVE)).toEqual(['1.4.1']);
  expect(versionsOf(RouteState.ROUTE_STATE_ACTIVE)).toEqual(expect.arrayContaining(['1.4.2', 'canary', '2025.1']));
  expect(routes[0]?.endpoints[0]).toEqual({
    url: 'grpc://cart-v1-a.acme.internal:8443',
    weight: 3,
    zone: 'eu-west-1a',
    priority: 0,
    labels: { instance: 'm6i.large' },
  });
  // A weight that is not given stays unset: what that means is the server's to say.
  expect(routes[0]?.endpoints[2]?.weight).toBeUndefined();
});

test('a label may have any name, also one that objects have of their own', () => {
  const labels = '{ __proto__: x, constructor: y }';
  const route = `{ version: v1, endpoints: [{ url: "grpc://a:1", labels: ${labels} }], labels: ${labels} }`;
  const service = `{ service: cart, environments: [{ environment: production, routes: [${route}] }] }`;
  const text = `tenants: [{ tenant: acme, services: [${service}] }]`;
  const { routes } = manifestResources(parseManifest({ file: 'shop.yaml', text }));
  for (const kept of [routes[0]?.labels, routes[0]?.endpoints[0]?.labels]) {
    expect(Object.entries(kept ?? {})).toEqual([
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ]);
  }
});

const BROKEN: readonly [what: string, text: string, message: string][] = [
  ['an empty file', '# nothing\n', 'shop.yaml:1:1: is empty; expected the key tenants'],
  [
    'an unclosed list',
    'tenants: [1',
    'shop.yaml:1:12: not YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
  ],
  ['tabs', 'tenants:\n\t- a', 'shop.yaml:2:1: not YAML: Tabs are not allowed as indentation'],
  ['a key twice', 'tenants: []\ntenants: []', 'shop.yaml:2:1: not YAML: Map keys must be unique'],
  ['a tag', 'tenants: !secret []', 'shop.yaml:1:10: not YAML: Unresolved tag: !secret'],
  [
    'an alias of nothing',
    'tenants: *x',
    'shop.yaml:1:1: not usable YAML: Unresolved alias (the anchor must be set before the alias): x',
  ],
  [
    'two documents',
    'tenants: []\n---\ntenants: []\n',
    'shop.yaml:2:1: a second document begins; a manifest is one document',
  ],
  ['a list at the top', '- a', 'shop.yaml:1:1: must be a map with the keys tenants'],
  ['a wrong type', 'tenants: 1', 'shop.yaml:1:10: tenants: must be a list'],
  ['no value', 'tenants:\n  - tenant:\n', 'shop.yaml:2:12: tenants[0].tenant: has no value'],
  [
    'a number for a text',
    'tenants:\n  - tenant: 1.10\n',
    'shop.yaml:2:13: tenants[0].tenant: must be text; write it in quotes',
  ],
  [
    'a tenant twice',
    'tenants:\n  - tenant: a\n  - tenant: a\n',
    'shop.yaml:3:13: tenants[1].tenant: "a" is already in this list',
  ],
  [
    'a key that is misspelt',
    'tenants:\n  - tenant: a\n    servces: []\n',
    'shop.yaml:3:5: tenants[0]: unknown key "servces"; did you mean "services"?',
  ],
  [
    'a key that is like no other',
    'tenants:\n  - tenant: a\n    quota: 1\n',
    'shop.yaml:3:5: tenants[0]: unknown key "quota"; known are tenant, display_name, services',
  ],
  [
    'a missing key',
    'tenants:\n  - tenant: a\n    services:\n      - service: c\n',
    'shop.yaml:4:9: tenants[0].services[0]: the key "environments" is missing',
  ],
];

test.each(BROKEN)('%s is one line with its place', (_what, text, message) => {
  expect(() => parseManifest({ file: 'shop.yaml', text })).toThrow(new ManifestError(message));
});

function routeOf(route: string): string {
  return `tenants:
  - tenant: acme
    services:
      - service: cart
        environments:
          - environment: production
            routes:
              - ${route}
`;
}

test.each([
  ['{ version: v1, endpont: [] }', '8:32', ': unknown key "endpont"; did you mean "endpoints"?'],
  ['{ version: v1, endpoints: [{ url: x, weight: 1.5 }] }', '8:62', '.endpoints[0].weight: must be a whole number'],
  ['{ version: v1, endpoints: [], state: OFF }', '8:54', '.state: must be ACTIVE or INACTIVE'],
  ['{ version: v1, endpoints: [], labels: { pci: true } }', '8:62', '.labels.pci: must be text; write it in quotes'],
])('a route %s is refused at %s', (route, place, what) => {
  const path = 'tenants[0].services[0].environments[0].routes[0]';
  expect(() => parseManifest({ file: 'shop.yaml', text: routeOf(route) })).toThrow(
    new ManifestError(`shop.yaml:${place}: ${path}${what}`),
  );
});

test('a route may not stand twice: two entries would overwrite each other for ever', () => {
  const text = routeOf('{ version: v1, endpoints: [] }\n              - { version: v1, endpoints: [] }');
  expect(() => parseManifest({ file: 'f', text })).toThrow(/^f:9:\d+: .*routes\[1\]\.version: "v1" is already/);
});

test('what is wrong first in the file is what is said', () => {
  const text = 'tenants:\n  - tenant: 1\n  - tenant: 2\n';
  expect(() => parseManifest({ file: 'f', text })).toThrow(/^f:2:/);
});

test('an anchored block may be used again', () => {
  const text = routeOf(
    '{ version: v1, endpoints: &both [{ url: x }] }\n              - { version: v2, endpoints: *both }',
  );
  const { routes } = manifestResources(parseManifest({ file: 'f', text }));
  expect(routes.map(({ endpoints }) => endpoints[0]?.url)).toEqual(['x', 'x']);
});

test('aliases that multiply are refused, not expanded', () => {
  const levels = Array.from({ length: 8 }, (_, level) => {
    const below = level === 0 ? '"x"' : `*l${level - 1}`;
    return `l${level}: &l${level} [${Array.from({ length: 10 }, () => below).join(', ')}]`;
  });
  const text = `${levels.join('\n')}\ntenants: *l7\n`;
  expect(() => parseManifest({ file: 'f', text })).toThrow(/^f:1:1: not usable YAML: Excessive alias count/);
});

test('a file larger than the limit is not parsed', () => {
  const text = ' '.repeat(cliLimits.manifestBytesMax + 1);
  expect(() => parseManifest({ file: 'f', text })).toThrow(/^f:1:1: larger than \d+ bytes/);
});
