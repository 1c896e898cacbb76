import { ChangeWindow } from '../domain/change-window.ts';
import { approximateBytes, type Change } from '../domain/change.ts';
import { GenerationCache } from '../platform/generation-cache.ts';
import { watchLimits } from './limits.ts';

/** Reads the log: changes from a revision on, oldest first, whole transactions; empty when they are not kept. */
export type ReadLog = (tenant: string, from: number, limit: number) => Promise<readonly Change[]>;

/** A stretch of a tenant's log. */
type Page = { readonly window: ChangeWindow; readonly bytes: number };

const pageBounds = { changesMax: Number.MAX_SAFE_INTEGER, bytesMax: Number.MAX_SAFE_INTEGER };

/**
 * The log for watchers that resume further back than memory reaches. Pages begin at fixed revisions, so that a fleet that comes
 * back together reads each stretch once, whatever the revision of each; watchers hold none of them, only their place.
 */
export class LogPages {
  readonly #read: ReadLog;
  readonly #pages = new GenerationCache<string, Page>({
    bytesMax: watchLimits.logPagesBytesMax,
    bytesOf: ({ bytes }) => bytes,
  });
  /** At most one for each page that a watcher waits for. */
  readonly #reading = new Map<string, Promise<Page | undefined>>();
  readonly #waiting: (() => void)[] = [];
  #reads = 0;
  /** Two histories of one tenant must not share pages: each window is of one. */
  readonly #histories = new WeakMap<ChangeWindow, number>();
  #historyCount = 0;

  constructor(read: ReadLog) {
    this.#read = read;
  }

  /** What is held of the log after a revision; undefined: {@link load} it. */
  find(tenant: string, history: ChangeWindow, revision: number): ChangeWindow | undefined {
    return continues(this.#pages.get(this.#key(tenant, history, revision)), revision);
  }

  /** Reads what comes after a revision; undefined: it is not kept. Rejects with what the log rejects with. */
  async load(tenant: string, history: ChangeWindow, revision: number): Promise<ChangeWindow | undefined> {
    const key = this.#key(tenant, history, revision);
    const begun = this.#reading.get(key);
    const found = begun && continues(await begun, revision);
    // What was begun before may have read the log before anything after the revision was in it: that says nothing of what is kept.
    return found ?? continues(await this.#readOnce(key, tenant, revision), revision);
  }

  /** Reads a page, unless that is being done. */
  #readOnce(key: string, tenant: string, revision: number): Promise<Page | undefined> {
    let reading = this.#reading.get(key);
    if (reading === undefined) {
      reading = this.#readPage(tenant, firstOf(revision))
        .then((page) => {
          if (page !== undefined) this.#pages.set(key, page);
          return page;
        })
        .finally(() => this.#reading.delete(key));
      this.#reading.set(key, reading);
    }
    return reading;
  }

  async #readPage(tenant: string, from: number): Promise<Page | undefined> {
    if (this.#reads < watchLimits.logReadsMax) this.#reads++;
    // Whoever ends hands its place on.
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      const changes = await this.#read(tenant, from, watchLimits.logPageChanges);
      const [first] = changes;
      if (first === undefined) return undefined;
      const window = new ChangeWindow({ revision: first.revision - 1, commitId: '' }, pageBounds);
      window.append(changes);
      return { window, bytes: changes.reduce((total, change) => total + approximateBytes(change), 0) };
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#reads--;
      else next();
    }
  }

  #key(tenant: string, history: ChangeWindow, revision: number): string {
    let number = this.#histories.get(history);
    if (number === undefined) this.#histories.set(history, (number = ++this.#historyCount));
    return `${tenant}/${number}/${firstOf(revision)}`;
  }
}

/** A page that was read when the log went no further than the revision is no help. */
function continues(page: Page | undefined, revision: number): ChangeWindow | undefined {
  return page?.window.reaches(revision) === true && page.window.end.revision > revision ? page.window : undefined;
}

/** The first revision of the page with what comes after a revision. */
function firstOf(revision: number): number {
  return Math.floor(revision / watchLimits.logPageChanges) * watchLimits.logPageChanges + 1;
}
