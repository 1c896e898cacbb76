import * as zod from 'zod';
import { LoadBalancing, LocalityPreference } from '../client/index.ts';
import { decimal, duration, enumName, integer, list, mapping, text, truth } from './schema-parts.ts';

/** A traffic policy as files say it: the fields of the proto, durations as `250ms`. What values may be is the server's to say. */

const predicates = ['exact', 'prefix', 'regex', 'present'] as const;

const attributeMatch = mapping({
  name: text,
  exact: text.optional(),
  prefix: text.optional(),
  regex: text.optional(),
  present: truth.optional(),
}).refine(
  // The wire takes one of them, so that the server would not see the others.
  (match) => predicates.filter((predicate) => match[predicate] !== undefined).length === 1,
  { error: `needs exactly one of ${predicates.join(', ')}` },
);

const split = list(mapping({ version: text, weight: integer }));

const matchRule = mapping({
  name: text.optional(),
  attributes: list(attributeMatch).optional(),
  method: text.optional(),
  version: text.optional(),
  split: split.optional(),
});

const retry = mapping({
  attempts_max: integer,
  codes: list(text),
  backoff_base: duration,
  backoff_max: duration,
  budget_percent: decimal,
  budget_floor_per_second: integer,
});

const circuitBreaker = mapping({
  error_percent: decimal,
  volume_min: integer,
  window: duration,
  reset_timeout: duration,
  concurrent_max: integer,
  pending_max: integer,
});

const policyShape = {
  default_version: text.optional(),
  split: split.optional(),
  rules: list(matchRule).optional(),
  timeout: duration.optional(),
  per_try_timeout: duration.optional(),
  retry: retry.optional(),
  circuit_breaker: circuitBreaker.optional(),
  load_balancing: enumName(LoadBalancing, 'LOAD_BALANCING_').optional(),
  outlier_ejection: mapping({
    consecutive_errors: integer,
    base_ejection_time: duration,
    ejected_percent_max: decimal,
  }).optional(),
  locality_preference: enumName(LocalityPreference, 'LOCALITY_PREFERENCE_').optional(),
  mirroring: mapping({ version: text, percent: decimal }).optional(),
  fault_injection: mapping({
    delay_percent: decimal.optional(),
    delay: duration.optional(),
    abort_percent: decimal.optional(),
    abort_code: text.optional(),
  }).optional(),
};

/** In a manifest. */
export const trafficPolicySchema = mapping(policyShape);

const passedOver = zod.unknown().optional();

/** A file of its own, as `policies get` prints it: what only the server sets is passed over. */
export const policyFileSchema = mapping({
  traffic_policy: mapping({
    ...policyShape,
    key: passedOver,
    revision: passedOver,
    etag: passedOver,
    create_time: passedOver,
    update_time: passedOver,
    updated_by: passedOver,
  }),
});

export type PolicyDocument = zod.infer<typeof trafficPolicySchema>;
export type RuleDocument = zod.infer<typeof matchRule>;
export type AttributeDocument = zod.infer<typeof attributeMatch>;
