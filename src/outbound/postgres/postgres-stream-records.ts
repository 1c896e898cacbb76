import type { ReconcileReport, StreamRecord, StreamRecords } from '../../ports/stream-records.ts';
import type { Database, Statement } from './database.ts';

type RecordRow = {
  readonly tenant: string;
  readonly epoch: string;
  readonly sequence: number;
  readonly revision: number;
  readonly report: ReconcileReport | null;
};

const statements = {
  read: {
    name: 'read_stream_record',
    text: 'SELECT tenant, epoch, sequence, revision, report FROM stream_records WHERE tenant = $1',
  },
  write: {
    name: 'write_stream_records',
    text: `INSERT INTO stream_records (tenant, epoch, sequence, revision, report)
      SELECT r.tenant, r.epoch, r.sequence, r.revision, r.report
      FROM json_to_recordset($1::json) AS r(tenant text, epoch text, sequence bigint, revision bigint, report jsonb)
      JOIN tenants t ON t.tenant = r.tenant ORDER BY r.tenant
      ON CONFLICT (tenant) DO UPDATE SET epoch = excluded.epoch, sequence = excluded.sequence, revision = excluded.revision, report = excluded.report`,
  },
} as const satisfies Record<string, Statement>;

/** What is remembered of the streams, in Postgres: lost and restored together with what the streams are made of. */
export class PostgresStreamRecords implements StreamRecords {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async read(tenant: string): Promise<StreamRecord | undefined> {
    const [row] = await this.#database.query<RecordRow>(statements.read, [tenant]);
    return row && { ...row, report: row.report ?? undefined };
  }

  async write(records: readonly StreamRecord[]): Promise<void> {
    if (records.length === 0) return;
    await this.#database.query(statements.write, [JSON.stringify(records)]);
  }
}
