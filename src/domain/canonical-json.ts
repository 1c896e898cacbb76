/**
 * JSON with the keys of every object in order and what is undefined left out: one text for equal values, whoever built them
 * (jsonb, for one, gives keys back in an order of its own).
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part) ? inOrder(part) : part,
  );
}

function inOrder(object: object): object {
  return Object.fromEntries(Object.entries(object).toSorted(([left], [right]) => (left < right ? -1 : 1)));
}
