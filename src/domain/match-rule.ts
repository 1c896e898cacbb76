import { compileRegexes, type RegexMatcher } from './regex/re2.ts';
import type { WeightedVersion } from './weighted-split.ts';

/** What must hold of an attribute's value; an absent attribute meets only `present: false`. */
export type AttributePredicate =
  | { readonly kind: 'exact'; readonly text: string }
  | { readonly kind: 'prefix'; readonly text: string }
  /** RE2; matches as a whole. */
  | { readonly kind: 'regex'; readonly pattern: string }
  | { readonly kind: 'present'; readonly present: boolean }
  /** None, or one of a newer program: no value meets it, so that a condition which is not understood lets no call through. */
  | { readonly kind: 'unrecognized' };

/** One condition on a call's attributes. */
export type AttributeMatch = { readonly name: string; readonly predicate: AttributePredicate };

/** Sends the calls that meet all its conditions to a version, or a split of its own. */
export type MatchRule = {
  /** '' : none. */
  readonly name: string;
  readonly attributes: readonly AttributeMatch[];
  /** `package.Service/Method` or `package.Service/*`; '' : any. */
  readonly method: string;
  /** '' : the split says where. */
  readonly version: string;
  readonly split: readonly WeightedVersion[];
};

/** What rules look at of a call. */
export type Call = {
  readonly attributes: Readonly<Record<string, string>>;
  /** `package.Service/Method`; '' : not known. */
  readonly method: string;
};

/** What the regexes said to a call's attributes, by their places: each attribute is looked at once in a lookup. */
export type RegexAnswers = (readonly number[] | undefined)[];

/** A rule made ready for lookups. */
type CompiledRule = {
  /** Its name, or its place in the policy: `#0`. */
  readonly label: string;
  readonly split: readonly WeightedVersion[];
  readonly appliesTo: (call: Call, answers: RegexAnswers) => boolean;
};

/** The rules of a policy made ready for lookups. */
export type CompiledRules = {
  readonly inOrder: readonly CompiledRule[];
  /** The answers to begin a lookup with. */
  readonly newAnswers: () => RegexAnswers;
};

const compiled = new WeakMap<readonly MatchRule[], CompiledRules>();

/**
 * The rules of a policy, made ready by the first lookup that needs them and kept for as long as the policy is: policies are
 * replaced, never changed. Not when they arrive, because a replica holds every policy and is asked for few.
 */
export function compiledRules(rules: readonly MatchRule[]): CompiledRules {
  let ready = compiled.get(rules);
  if (ready === undefined) compiled.set(rules, (ready = compileRules(rules)));
  return ready;
}

/** All regexes that look at one attribute: compiled together, because one pass over its value then answers for all. */
type RegexBank = { readonly place: number; readonly patterns: string[] };

function compileRules(rules: readonly MatchRule[]): CompiledRules {
  const banks = new Map<string, RegexBank>();
  // Conditions are made before the banks are compiled: each adds its regex to one.
  const matchers: RegexMatcher[] = [];
  const inOrder = rules.map((rule, index) => compileRule(rule, { index, banks, matchers }));
  for (const { patterns } of banks.values()) matchers.push(compileRegexes(patterns));
  return { inOrder, newAnswers: banks.size === 0 ? () => noAnswers : () => [] };
}

/** Where there is no regex, nothing is ever put into it. */
const noAnswers: RegexAnswers = [];

type Compilation = {
  readonly index: number;
  readonly banks: Map<string, RegexBank>;
  readonly matchers: readonly RegexMatcher[];
};

function compileRule({ name, attributes, method, version, split }: MatchRule, compilation: Compilation): CompiledRule {
  const meetsMethod = methodTest(method);
  const tests = attributes.map((match) => ({ name: match.name, holds: valueTest(match, compilation) }));
  return {
    label: name === '' ? `#${compilation.index}` : name,
    split: version === '' ? split : [{ version, weight: 1 }],
    appliesTo: (call, answers) => {
      if (!meetsMethod(call.method)) return false;
      for (const test of tests) {
        // Attributes are data: `constructor` is one that the call has, or has not.
        const value = Object.hasOwn(call.attributes, test.name) ? call.attributes[test.name] : undefined;
        if (!test.holds(value, answers)) return false;
      }
      return true;
    },
  };
}

function methodTest(method: string): (called: string) => boolean {
  if (method === '') return () => true;
  if (!method.endsWith('/*')) return (called) => called === method;
  const prefix = method.slice(0, -1);
  return (called) => called.startsWith(prefix);
}

type ValueTest = (value: string | undefined, answers: RegexAnswers) => boolean;

function valueTest({ name, predicate }: AttributeMatch, compilation: Compilation): ValueTest {
  switch (predicate.kind) {
    case 'exact':
      return (value) => value === predicate.text;
    case 'prefix':
      return (value) => value !== undefined && value.startsWith(predicate.text);
    case 'regex':
      return regexTest(name, predicate.pattern, compilation);
    case 'present':
      return (value) => (value !== undefined) === predicate.present;
    case 'unrecognized':
      return () => false;
  }
}

function regexTest(name: string, pattern: string, { banks, matchers }: Compilation): ValueTest {
  let bank = banks.get(name);
  if (bank === undefined) banks.set(name, (bank = { place: banks.size, patterns: [] }));
  const { place, patterns } = bank;
  const own = patterns.push(pattern) - 1;
  return (value, answers) => {
    if (value === undefined) return false;
    const matching = (answers[place] ??= matchers[place]?.(value) ?? []);
    return matching.includes(own);
  };
}
