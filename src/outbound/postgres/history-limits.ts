/** How much of the log one call may look at; measured on 1,000,000 changes of one tenant (decision 0006). */
export type HistoryLimits = {
  /** Revisions that one statement of a list with combined filters looks at: the first, and four times as many each time, up to a most. */
  readonly windowRevisions: { readonly first: number; readonly max: number };
  /** A page of changes is answered with what was found once it took this long, ms. */
  readonly pageBudgetMs: number;
  /** Of one page of changes, as stored (compressed), bytes. */
  readonly pageBytesMax: number;
  /** Keys that a page of past routes looks at in one statement at most. */
  readonly keysPerStatement: number;
  /** Statements of one page of past routes. */
  readonly statementsPerPage: number;
  /** Changes whose documents one statement of a rollback's read fetches. */
  readonly documentsPerStatement: number;
};

export const historyLimits: HistoryLimits = {
  // 1 ms where one of the filters is rare enough for its index; where none is, 1 µs a row: 0.4 s at worst.
  windowRevisions: { first: 50_000, max: 400_000 },
  // Far below any deadline that a list is called with.
  pageBudgetMs: 500,
  // 1,000 changes of routes at their size limit would be 500 MiB.
  pageBytesMax: 8 * 1024 * 1024,
  // 10 µs a key that has changed since: 0.2 s a page at worst.
  keysPerStatement: 2_000,
  statementsPerPage: 10,
  // 2.5 MB at 500 B each.
  documentsPerStatement: 5_000,
};
