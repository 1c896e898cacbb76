import * as zod from 'zod';
import { integer, labels, list, mapping, text } from './schema-parts.ts';
import { trafficPolicySchema } from './traffic-policy-schema.ts';

/**
 * The structure of a manifest: which keys there are, and what kind of value each takes. What names, URLs and weights may be is
 * the server's to say, in one place for every client.
 */

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

const environment = mapping({
  environment: text,
  routes: list(route).optional(),
  traffic_policy: trafficPolicySchema.optional(),
});

const service = mapping({ service: text, environments: list(environment) });

const tenant = mapping({ tenant: text, display_name: text.optional(), services: list(service).optional() });

/** A whole file. */
export const manifestSchema = mapping({ tenants: list(tenant) });

/** A manifest as it is written, checked. */
export type Manifest = zod.infer<typeof manifestSchema>;
export type ManifestRoute = zod.infer<typeof route>;
