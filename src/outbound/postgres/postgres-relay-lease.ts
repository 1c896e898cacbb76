import type { Client } from 'pg';
import type { Clock } from '../../platform/clock.ts';
import type { LeaseHolder, RelayLease } from '../../ports/relay-lease.ts';
import type { Database } from './database.ts';

/**
 * $1 holder · $2 ttl, ms · $3 the least term. Free is what has expired, and what would expire later than it can have been taken
 * for: then the database's clock has been set back, and the holder may be long gone.
 */
const claimSql = `
INSERT INTO relay_lease AS l (holder, term, expires_at)
VALUES ($1, greatest($3::bigint, 1), clock_timestamp() + $2::float8 * interval '1 millisecond')
ON CONFLICT (only_row) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at,
  term = greatest(CASE WHEN l.holder = excluded.holder THEN l.term ELSE l.term + 1 END, $3::bigint)
WHERE l.holder = $1 OR l.expires_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + $2::float8 * interval '1 millisecond'
RETURNING holder, term`;

export type PostgresRelayLeaseOptions = {
  readonly database: Database;
  readonly clock: Clock;
  /** How long the right lasts, ms. */
  readonly ttlMs: number;
  /** How long the database may take to answer, ms. */
  readonly answerMsMax: number;
};

/**
 * The lease as a row. On a connection of its own: in the pool it would wait behind whatever else is asked, and its holder would
 * lose it for being busy. No advisory lock, which lives as long as its session: that of a holder that was stopped (SIGSTOP, a
 * paused virtual machine) lives on.
 */
export class PostgresRelayLease implements RelayLease {
  readonly #options: PostgresRelayLeaseOptions;
  #connecting: Promise<Client> | undefined;

  constructor(options: PostgresRelayLeaseOptions) {
    this.#options = options;
  }

  get ttlMs(): number {
    return this.#options.ttlMs;
  }

  async claim(holder: string, termMin: number): Promise<LeaseHolder> {
    const claimed = await this.#query<LeaseHolder>(claimSql, [holder, this.#options.ttlMs, termMin]);
    if (claimed.rows[0] !== undefined) return claimed.rows[0];
    // A statement of its own: one that also claims sees the table as it was before it waited for another's claim, so it could name
    // the loser as the holder, or nobody.
    const held = await this.#query<LeaseHolder>('SELECT holder, term FROM relay_lease', []);
    const [row] = held.rows;
    if (row === undefined) throw new Error('the lease has a row after every claim');
    return row;
  }

  async release(holder: string): Promise<void> {
    await this.#query("UPDATE relay_lease SET expires_at = '-infinity' WHERE holder = $1", [holder]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const client = await this.#connecting?.catch(() => undefined);
    await client?.end().catch(() => {});
  }

  async #query<Row extends object>(text: string, values: unknown[]): Promise<{ rows: Row[] }> {
    const { clock, answerMsMax } = this.#options;
    const answered = new AbortController();
    const connecting = (this.#connecting ??= this.#connect());
    const late = clock.sleep(answerMsMax, answered.signal).then((): never => {
      throw new Error(`the database did not answer within ${answerMsMax} ms`);
    });
    const asked = connecting.then((client) => client.query<Row>(text, values));
    try {
      return await Promise.race([asked, late]);
    } catch (error) {
      this.#drop(connecting);
      throw error;
    } finally {
      answered.abort();
      // Whichever came second has nobody who waits for it.
      for (const each of [asked, late]) each.catch(() => {});
    }
  }

  async #connect(): Promise<Client> {
    const client = this.#options.database.dedicatedClient();
    // Told by the statement under way, or by the next one.
    client.on('error', () => {});
    await client.connect();
    return client;
  }

  /** The next statement gets another connection; what this one still has under way may or may not happen. */
  #drop(connecting: Promise<Client>): void {
    if (this.#connecting === connecting) this.#connecting = undefined;
    connecting.then((client) => client.end()).catch(() => {});
  }
}
