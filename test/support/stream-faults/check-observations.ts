/** What a sidecar said of one route. */
export type Observation =
  | { readonly kind: 'found'; readonly revision: number; readonly url: string }
  | { readonly kind: 'absent' }
  /** No answer, or one that says that it cannot tell. */
  | { readonly kind: 'unanswered'; readonly reason: string };

/** What one process of a sidecar said of one route, in order, without repetitions. */
export type Observed = {
  readonly sidecar: string;
  /** `tenant/service/environment/version`. */
  readonly path: string;
  readonly observations: readonly Observation[];
};

/** One change of a route that was committed; url undefined: its deletion. */
export type Committed = { readonly path: string; readonly revision: number; readonly url: string | undefined };

/**
 * What must hold of everything that was observed, whatever was broken meanwhile: nothing was seen that was not committed, nothing
 * went back to an older revision, nothing deleted came back, nothing disappeared without being deleted, and whoever once answered
 * went on. `restores`: so often the database was taken back in time, and each route may go back with it as often.
 */
export function checkObservations(
  observed: readonly Observed[],
  committed: readonly Committed[],
  restores: number,
): string[] {
  const known = new Set(committed.map(({ path, revision, url }) => `${path} ${revision} ${url}`));
  const deletions = Map.groupBy(
    // In the order of their revisions: after a restore there are two histories, and whoever disappeared need not have been deleted later
    // than it must.
    committed.filter(({ url }) => url === undefined).toSorted((left, right) => left.revision - right.revision),
    ({ path }) => path,
  );
  return observed.flatMap(({ sidecar, path, observations }) => {
    const violations: string[] = [];
    let before = '';
    const complain = (what: string): void => void violations.push(`${sidecar} ${path}: ${what}; before: ${before}`);
    let floor = 0;
    let back = restores;
    let seen: 'nothing' | 'absent' | 'found' = 'nothing';
    for (const each of observations) {
      if (each.kind === 'unanswered') {
        if (seen !== 'nothing') complain(`it stopped answering: ${each.reason}`);
        continue;
      }
      if (each.kind === 'found') {
        if (!known.has(`${path} ${each.revision} ${each.url}`))
          complain(`${each.url} at ${each.revision} was never committed`);
        if (each.revision < floor && back-- <= 0) complain(`it went back from ${floor} to ${each.revision}`);
        floor = each.revision;
      } else if (seen === 'found') {
        const deleted = deletions.get(path)?.find(({ revision }) => revision > floor);
        if (deleted === undefined && back-- <= 0) complain(`it lost what it had at ${floor}, which was not deleted`);
        floor = deleted?.revision ?? 0;
      }
      seen = each.kind;
      before = `${before} ${each.kind === 'found' ? each.revision : each.kind}`.slice(-100);
    }
    return violations;
  });
}
