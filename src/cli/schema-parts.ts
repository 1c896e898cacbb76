import * as zod from 'zod';
import { suggestion } from '../platform/closest-name.ts';
import { parseDurationMs } from './duration.ts';

/** The parts that schemas of files are made of: each refuses what it does not know, in words for who wrote the file. */

export const text = zod.string({
  // YAML reads 1.10 as the number 1.1, and true as a truth.
  error: ({ input }) =>
    input === null ? 'has no value' : `must be text${isPlain(input) ? '; write it in quotes' : ''}`,
});
export const integer = zod.int32({ error: 'must be a whole number' });
export const decimal = zod.number({ error: 'must be a number' });
export const truth = zod.boolean({ error: 'must be true or false' });
/** Not `zod.record`, which leaves the key `__proto__` out without a word: a label like any other. */
export const labels = zod
  .preprocess(entriesOf, zod.map(text, text, { error: 'must be a map of texts' }))
  .transform((entries): Record<string, string> => Object.fromEntries(entries));

const durationError = 'must be a duration such as 250ms, 1.5s or 2m';
export const duration = zod
  .string({ error: durationError })
  .refine((given) => parseDurationMs(given) !== undefined, { error: durationError });

/** A map with these keys and no others. */
export function mapping<Shape extends zod.ZodRawShape>(shape: Shape) {
  const known = Object.keys(shape);
  return zod.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return `must be a map with the keys ${known.join(', ')}`;
      const unknown = String(issue['keys'][0]);
      return `unknown key "${unknown}"${suggestion(unknown, known) || `; known are ${known.join(', ')}`}`;
    },
  });
}

export function list<Element extends zod.ZodType>(element: Element) {
  return zod.array(element, { error: 'must be a list' });
}

/** A name of an enum, with or without the prefix that all its names have; 0 when it is UNSPECIFIED. */
export function enumName(names: Readonly<Record<string, number>>, prefix: string) {
  const numbers = new Map(Object.entries(names).filter(([, number]) => number >= 0));
  const known = [...numbers].filter(([, number]) => number > 0).map(([name]) => name.slice(prefix.length));
  return zod.string({ error: `must be one of ${known.join(', ')}` }).transform((given, context) => {
    const number = numbers.get(given) ?? numbers.get(prefix + given);
    if (number !== undefined) return number;
    const message = `must be one of ${known.join(', ')}${suggestion(given, known)}`;
    context.issues.push({ code: 'custom', message, input: given });
    return zod.NEVER;
  });
}

function entriesOf(input: unknown): unknown {
  const isMap = typeof input === 'object' && input !== null && !Array.isArray(input);
  return isMap ? new Map(Object.entries(input)) : input;
}

function isPlain(input: unknown): boolean {
  return typeof input === 'number' || typeof input === 'boolean';
}
