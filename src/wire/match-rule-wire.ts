import type { AttributePredicate, MatchRule } from '../domain/match-rule.ts';
import type {
  AttributeMatch as WireAttributeMatch,
  MatchRule as WireRule,
} from '../gen/trafficmanager/v1/traffic_policy.ts';
import { splitFromWire, splitToWire } from './weighted-split-wire.ts';

export function ruleFromWire({ name, attributes, method, version, split }: WireRule): MatchRule {
  return {
    name,
    attributes: attributes.map((match) => ({ name: match.name, predicate: predicateFromWire(match.predicate) })),
    method,
    version,
    split: splitFromWire(split),
  };
}

export function ruleToWire({ name, attributes, method, version, split }: MatchRule): WireRule {
  return {
    name,
    attributes: attributes.map((match) => ({ name: match.name, predicate: predicateToWire(match.predicate) })),
    method,
    version,
    split: splitToWire(split),
  };
}

/** A predicate that a newer program sent reads as none. */
function predicateFromWire(predicate: WireAttributeMatch['predicate']): AttributePredicate {
  switch (predicate?.$case) {
    case 'exact':
      return { kind: 'exact', text: predicate.value };
    case 'prefix':
      return { kind: 'prefix', text: predicate.value };
    case 'regex':
      return { kind: 'regex', pattern: predicate.value };
    case 'present':
      return { kind: 'present', present: predicate.value };
    case undefined:
      return { kind: 'unrecognized' };
  }
}

function predicateToWire(predicate: AttributePredicate): WireAttributeMatch['predicate'] {
  switch (predicate.kind) {
    case 'exact':
      return { $case: 'exact', value: predicate.text };
    case 'prefix':
      return { $case: 'prefix', value: predicate.text };
    case 'regex':
      return { $case: 'regex', value: predicate.pattern };
    case 'present':
      return { $case: 'present', value: predicate.present };
    case 'unrecognized':
      return undefined;
  }
}
