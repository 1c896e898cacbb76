import { createRequire } from 'node:module';
// A type only: what is imported here would be loaded by every sidecar, and few policies have a regex.
import type * as Re2 from 're2js';
import { limits } from '../limits.ts';
import { regexCost } from './regex-cost.ts';

/**
 * Which of several regexes match a whole text, by their places. Takes time linear in the text, whatever the regexes: RE2 never
 * backtracks.
 */
export type RegexMatcher = (text: string) => readonly number[];

const require = createRequire(import.meta.url);
let loaded: typeof Re2 | undefined;

/** The engine, from its first use on: 14 ms to load, 1 MB of heap and 6 MB of resident memory. */
function engine(): typeof Re2 {
  loaded ??= require('re2js') as typeof Re2;
  return loaded;
}

/** Why a policy may not hold a regex; undefined when it may. */
export function regexFault(pattern: string): string | undefined {
  const cost = regexCost(pattern);
  if (cost > limits.regexCostMax)
    return `is too large: RE2 would make up to ${cost} instructions of it, more than ${limits.regexCostMax}`;
  const { RE2JS, RE2JSException, RE2JSSyntaxException } = engine();
  try {
    RE2JS.compile(pattern);
    return undefined;
  } catch (error) {
    if (error instanceof RE2JSSyntaxException) return `is not RE2 syntax: ${describe(error)}`;
    if (error instanceof RE2JSException) return `is not a regex that RE2 takes: ${error.message}`;
    throw error;
  }
}

function describe(error: Re2.RE2JSSyntaxException): string {
  const part = error.getPattern();
  return part === null || part === '' ? error.getDescription() : `${error.getDescription()}: ${part}`;
}

/**
 * Compiles regexes that were found valid, and so have the size that {@link regexFault} allows. One that is not after all (it came
 * from a newer program, whose limits are wider) matches nothing: it must not take down the lookups that it is not about.
 *
 * One automaton for all of them looks at a text once: measured on a text of 101 characters, ten regexes take 1.0 µs together and
 * 10 µs one by one (the `RegExp`s of V8, which may take for ever: 1.9 µs). Its memory is bounded, which that of a single regex
 * is not (8 MiB each); past the bound the engine goes on without an automaton, slower and still linear.
 */
export function compileRegexes(patterns: readonly string[]): RegexMatcher {
  const { RE2Set, RE2JSException } = engine();
  const set = new RE2Set(RE2Set.ANCHOR_BOTH, 0, limits.regexAutomatonBytesMax * patterns.length);
  /** The places of the patterns that are in the set, by their ids there. */
  const places: number[] = [];
  for (const [place, pattern] of patterns.entries()) {
    if (regexCost(pattern) > limits.regexCostMax) continue;
    try {
      set.add(pattern);
      places.push(place);
    } catch (error) {
      if (!(error instanceof RE2JSException)) throw error;
    }
  }
  if (places.length === 0) return () => places;
  set.compile();
  const isWhole = places.length === patterns.length;
  return (text) => {
    const ids = set.match(text);
    return isWhole ? ids : ids.map((id) => places[id] ?? 0);
  };
}
