/**
 * Works on every item, at most `inFlightMax` at once, in order of beginning. After a failure no more are begun; those under
 * way end first, then it is thrown.
 */
export async function forEachConcurrently<Item>(
  items: Iterable<Item>,
  inFlightMax: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const remaining = items[Symbol.iterator]();
  const failures: { readonly error: unknown }[] = [];
  async function takeTurns(): Promise<void> {
    for (let next = remaining.next(); next.done !== true && failures.length === 0; next = remaining.next()) {
      try {
        await work(next.value);
      } catch (error) {
        failures.push({ error });
      }
    }
  }
  await Promise.all(Array.from({ length: inFlightMax }, takeTurns));
  const [first] = failures;
  if (first !== undefined) throw first.error;
}
