import { limits } from './limits.ts';
import type { AttributeMatch, MatchRule } from './match-rule.ts';
import { regexFault } from './regex/re2.ts';
import { regexCost } from './regex/regex-cost.ts';
import type { Violations } from './validation.ts';
import { validateSplit } from './weighted-split.ts';

// Names of protobuf identifiers, so that what is meant as a pattern (`shop.*`) is not taken for a name.
const methodPattern = /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\/(?:[A-Za-z_]\w*|\*)$/;

/** Adds everything that is wrong with the rules of a policy. */
export function validateRules(violations: Violations, field: string, rules: readonly MatchRule[]): void {
  if (rules.length > limits.rulesPerPolicyMax)
    return violations.add(field, `has more than ${limits.rulesPerPolicyMax} entries`);
  const names = new Set<string>();
  for (const [index, rule] of rules.entries()) {
    const path = `${field}[${index}]`;
    violations.text(`${path}.name`, rule.name, limits.ruleNameLengthMax);
    if (rule.name.startsWith('#')) violations.add(`${path}.name`, 'must not begin with #, as places of rules do');
    if (rule.name !== '' && names.has(rule.name)) violations.add(`${path}.name`, 'stands twice in this policy');
    names.add(rule.name);
    validateMethod(violations, `${path}.method`, rule.method);
    if (rule.attributes.length > limits.attributeMatchesPerRuleMax)
      violations.add(`${path}.attributes`, `has more than ${limits.attributeMatchesPerRuleMax} entries`);
    else validateAttributes(violations, `${path}.attributes`, rule.attributes);
    if ((rule.version === '') === (rule.split.length === 0))
      violations.add(path, 'needs exactly one of version and split');
    if (rule.version !== '') violations.version(`${path}.version`, rule.version);
    validateSplit(violations, `${path}.split`, rule.split);
  }
  validateRegexes(violations, field, rules);
}

function validateMethod(violations: Violations, field: string, method: string): void {
  if (method === '') return;
  if (method.length > limits.methodLengthMax || !methodPattern.test(method))
    violations.add(field, `must be such as shop.Cart/Add or shop.Cart/*, ${limits.methodLengthMax} characters at most`);
}

function validateAttributes(violations: Violations, field: string, attributes: readonly AttributeMatch[]): void {
  for (const [index, { name, predicate }] of attributes.entries()) {
    const path = `${field}[${index}]`;
    if (name === '') violations.add(`${path}.name`, 'is required');
    violations.text(`${path}.name`, name, limits.attributeKeyLengthMax);
    switch (predicate.kind) {
      case 'exact':
      case 'prefix':
        violations.text(`${path}.${predicate.kind}`, predicate.text, limits.attributeValueLengthMax);
        break;
      case 'regex':
        violations.text(`${path}.regex`, predicate.pattern, limits.regexLengthMax);
        break;
      case 'present':
        break;
      case 'unrecognized':
        violations.add(path, 'needs one of exact, prefix, regex and present');
        break;
    }
  }
}

/** What one request's regexes have come to so far: a batch sets many policies, often with the same regexes. */
type RegexLedger = { cost: number; readonly faults: Map<string, string | undefined> };

const ledgers = new WeakMap<Violations, RegexLedger>();

/** Regexes come last and one by one: none is compiled that is too much by itself or together with those before it. */
function validateRegexes(violations: Violations, field: string, rules: readonly MatchRule[]): void {
  let ledger = ledgers.get(violations);
  if (ledger === undefined)
    ledgers.set(violations, (ledger = { cost: 0, faults: new Map<string, string | undefined>() }));
  let count = 0;
  let cost = 0;
  for (const [ruleIndex, { attributes }] of rules.entries()) {
    for (const [index, { predicate }] of attributes.slice(0, limits.attributeMatchesPerRuleMax).entries()) {
      // Too long: that has been said. A character has one or two UTF-16 units.
      if (predicate.kind !== 'regex' || predicate.pattern.length > 2 * limits.regexLengthMax) continue;
      const path = `${field}[${ruleIndex}].attributes[${index}].regex`;
      const own = Math.min(regexCost(predicate.pattern), limits.regexCostMax);
      count++;
      cost += own;
      if (count > limits.regexesPerPolicyMax)
        return violations.add(path, `is one regex too many: a policy has ${limits.regexesPerPolicyMax} at most`);
      if (cost > limits.regexCostPerPolicyMax)
        return violations.add(path, `makes the policy's regexes too large together (${limits.regexCostPerPolicyMax})`);
      const fault = faultOnce(ledger, predicate.pattern, own);
      if (fault !== undefined) violations.add(path, fault);
    }
  }
}

function faultOnce(ledger: RegexLedger, pattern: string, cost: number): string | undefined {
  if (ledger.faults.has(pattern)) return ledger.faults.get(pattern);
  ledger.cost += cost;
  if (ledger.cost > limits.regexCostPerRequestMax)
    return 'is one regex too many for a single request: send the policies in several';
  const fault = regexFault(pattern);
  ledger.faults.set(pattern, fault);
  return fault;
}
