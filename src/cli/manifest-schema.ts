import * as zod from 'zod';
import { suggestion } from './closest-name.ts';

/**
 * The structure of a manifest: which keys there are, and what kind of value each takes. What names, URLs and weights may be is
 * the server's to say, in one place for every client.
 */

const text = zod.string({
  // YAML reads 1.10 as the number 1.1, and true as a truth.
  error: ({ input }) =>
    input === null ? 'has no value' : `must be text${isPlain(input) ? '; write it in quotes' : ''}`,
});
const integer = zod.int32({ error: 'must be a whole number' });
const labels = zod.record(text, text, { error: 'must be a map of texts' });

const endpoint = mapping({
  url: text,
  weight: integer.optional(),
  zone: text.optional(),
  priority: integer.optional(),
  labels: labels.optional(),
});

const route = mapping({
  version: text,
  state: zod.enum(['ACTIVE', 'INACTIVE'], { error: 'must be ACTIVE or INACTIVE' }).optional(),
  labels: labels.optional(),
  endpoints: list(endpoint),
});

const trafficPolicy = mapping({
  default_version: text.optional(),
  split: list(mapping({ version: text, weight: integer })).optional(),
});

const environment = mapping({
  environment: text,
  routes: list(route).optional(),
  traffic_policy: trafficPolicy.optional(),
});

const service = mapping({ service: text, environments: list(environment) });

const tenant = mapping({ tenant: text, display_name: text.optional(), services: list(service).optional() });

/** A whole file. */
export const manifestSchema = mapping({ tenants: list(tenant) });

/** A manifest as it is written, checked. */
export type Manifest = zod.infer<typeof manifestSchema>;
export type ManifestRoute = zod.infer<typeof route>;
export type ManifestTrafficPolicy = zod.infer<typeof trafficPolicy>;

function mapping<Shape extends zod.ZodRawShape>(shape: Shape) {
  const known = Object.keys(shape);
  return zod.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return `must be a map with the keys ${known.join(', ')}`;
      const unknown = String(issue['keys'][0]);
      return `unknown key "${unknown}"${suggestion(unknown, known) || `; known are ${known.join(', ')}`}`;
    },
  });
}

function list<Element extends zod.ZodType>(element: Element) {
  return zod.array(element, { error: 'must be a list' });
}

function isPlain(input: unknown): boolean {
  return typeof input === 'number' || typeof input === 'boolean';
}
