import type { MatchRule } from '../../../src/domain/match-rule.ts';
import { resolve, type Lookup } from '../../../src/domain/resolve.ts';
import type { TrafficPolicyValue } from '../../../src/domain/traffic-policy.ts';
import {
  attribute,
  chanceFrom,
  exact,
  exampleLookup,
  exampleRule,
  regex,
  viewWith,
} from '../../fakes/example-traffic-policy.ts';
import type { BenchOptions } from '../bench-options.ts';
import { median, printTable } from '../report.ts';

const userAgent =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36';
const attributes = { 'user-agent': userAgent, 'x-region': 'eu-west-1', 'x-user': 'alice@acme.example' };
const minimal: TrafficPolicyValue = { defaultVersion: 'v1', split: [], rules: [] };
const split = ['v1', 'v2', 'v3'].map((version, index) => ({ version, weight: 100 - index * 40 }));

/** Ten rules, of which the call meets the last at most. */
function tenRules(rule: (index: number) => MatchRule['attributes'][number]): MatchRule[] {
  return Array.from({ length: 10 }, (_, index) => exampleRule({ attributes: [rule(index)], version: 'v2' }));
}

const patterns = Array.from({ length: 10 }, (_, index) => `.*(Firefox|Edg|OPR)/1${index}[0-9][.].*`);
const regions = Array.from({ length: 10 }, (_, index) => `(us|ap|sa)-[a-z]+-${index}(a|b|c)?`);

type Case = {
  readonly name: string;
  readonly policy: TrafficPolicyValue;
  readonly lookup: Lookup;
  readonly reason: string;
};

const cases: readonly Case[] = [
  { name: 'explicit version', policy: minimal, lookup: exampleLookup({ version: 'v1' }), reason: 'KEY' },
  { name: 'default version', policy: minimal, lookup: exampleLookup(), reason: 'DEFAULT_VERSION' },
  {
    name: 'split of 3, hash key',
    policy: { ...minimal, split },
    lookup: exampleLookup({ hashKey: 'customer-4711' }),
    reason: 'SPLIT',
  },
  { name: 'split of 3, by chance', policy: { ...minimal, split }, lookup: exampleLookup(), reason: 'SPLIT' },
  {
    name: '10 rules, exact, none applies',
    policy: { ...minimal, rules: tenRules((index) => attribute('x-user', exact(`user-${index}`))) },
    lookup: exampleLookup({ attributes }),
    reason: 'DEFAULT_VERSION',
  },
  {
    name: '10 rules, regex of 9 characters, none applies',
    policy: { ...minimal, rules: tenRules((index) => attribute('x-region', regex(regions[index] ?? ''))) },
    lookup: exampleLookup({ attributes }),
    reason: 'DEFAULT_VERSION',
  },
  {
    name: '10 rules, regex of 101 characters, none applies',
    policy: { ...minimal, rules: tenRules((index) => attribute('user-agent', regex(patterns[index] ?? ''))) },
    lookup: exampleLookup({ attributes }),
    reason: 'DEFAULT_VERSION',
  },
  {
    name: '10 rules, regex, the last applies',
    policy: {
      ...minimal,
      rules: tenRules((index) =>
        attribute('user-agent', regex(index === 9 ? '.*Chrome/1[0-9]+.*' : (patterns[index] ?? ''))),
      ),
    },
    lookup: exampleLookup({ attributes }),
    reason: 'MATCH_RULE',
  },
];

/** ns a resolve, in this process, without gRPC; and what V8's own engine takes for the ten long regexes, which it does not bound. */
export async function benchPolicy({ rounds, seconds }: BenchOptions): Promise<void> {
  const random = chanceFrom(1);
  const works = cases.map(({ name, policy, lookup, reason }) => {
    const { view } = viewWith({ v1: 'ACTIVE', v2: 'ACTIVE', v3: 'ACTIVE' }, policy);
    const run = (): string => resolve(view, lookup, random).reason;
    if (run() !== reason) throw new Error(`${name} was decided by ${run()}`);
    return { name, run };
  });
  const engines = patterns.map((pattern) => new RegExp(`^(?:${pattern})$`));
  works.push({
    name: '(10 RegExp of V8, 101 characters)',
    run: () => (engines.some((engine) => engine.test(userAgent)) ? 'yes' : 'no'),
  });
  const figures = works.map(() => [] as number[]);
  for (let round = 0; round < rounds; round++)
    for (const [index, { run }] of works.entries())
      figures[index]?.push(nanosecondsOf(run, (seconds * 1_000) / works.length));
  const base = median(figures[0] ?? []);
  printTable(
    ['lookup', 'ns', 'of explicit version'],
    works.map(({ name }, index) => [name, median(figures[index] ?? []), median(figures[index] ?? []) / base]),
  );
  await Promise.resolve();
}

/** After a third of the time as warm-up. */
function nanosecondsOf(run: () => string, durationMs: number): number {
  let sink = 0;
  const loop = (untilMs: number): { calls: number; tookMs: number } => {
    const startMs = performance.now();
    let calls = 0;
    let nowMs = startMs;
    while (nowMs - startMs < untilMs) {
      for (let call = 0; call < 1_000; call++) sink += run().length;
      calls += 1_000;
      nowMs = performance.now();
    }
    return { calls, tookMs: nowMs - startMs };
  };
  loop(durationMs / 3);
  const { calls, tookMs } = loop(durationMs);
  if (sink === 0) throw new Error('nothing was resolved');
  return (tookMs * 1e6) / calls;
}
