import { createHash, type Hash } from 'node:crypto';
import type { Position } from '../../src/domain/change.ts';
import { isBlock, type Span } from './group-block.ts';
import { groupFromContent, type Group } from './group.ts';

/**
 * A tenant's memory as a file. Numbers are little-endian; of two records of a group the later one counts.
 *
 *     "TMSNAP" | version u16 | { service u8 | environment u8 | bytes of the block u32 | of its policy in memory u32 | as of f64
 *     | service | environment | block } … | footer, as JSON | its bytes u32 | SHA-256 of everything before it
 *
 * A record without a block says that the group is not held any more.
 */
const magic = Buffer.from('TMSNAP');
const formatVersion = 1;
const headBytes = magic.length + 2;
const recordHeadBytes = 18;
const checksumBytes = 32;
/** Of the footer's length. */
const lengthBytes = 4;

/** What a file says of the memory it was written from. */
export type Footer = {
  readonly tenant: string;
  readonly state: 'ACTIVE' | 'DELETED';
  readonly position: Position;
  /** Whether what is not here did not exist, of these services; null: of all. */
  readonly complete: boolean;
  readonly services: readonly string[] | null;
  /** When memory was last certain of it, ms since the epoch. */
  readonly verifiedAtMs: number;
};

/** A file that is believed: its records are whole, and {@link readRecords} reads them. */
export type DiskSnapshot = Footer & { readonly records: Span };

/** A group as a file has it; none: it was not held any more. */
export type StoredGroup = {
  readonly service: string;
  readonly environment: string;
  readonly group: Group | undefined;
};

/** Why a file is not believed: for the log. */
export class RefusedFileError extends Error {}

/** Puts a file together, piece by piece. */
export class SnapshotEncoder {
  readonly #hash: Hash = createHash('sha256');

  head(): Buffer {
    const head = Buffer.alloc(headBytes);
    magic.copy(head);
    head.writeUInt16LE(formatVersion, magic.length);
    return this.#add(head);
  }

  /** Groups of one piece. */
  records(records: readonly StoredGroup[]): Buffer {
    return this.#add(Buffer.concat(records.flatMap(encodeRecord)));
  }

  /** The end of the file. */
  foot(footer: Footer): Buffer {
    const text = Buffer.from(JSON.stringify(footer));
    const length = Buffer.alloc(lengthBytes);
    length.writeUInt32LE(text.length);
    const end = this.#add(Buffer.concat([text, length]));
    return Buffer.concat([end, this.#hash.digest()]);
  }

  #add(bytes: Buffer): Buffer {
    this.#hash.update(bytes);
    return bytes;
  }
}

function encodeRecord({ service, environment, group }: StoredGroup): Buffer[] {
  const block = group?.content ?? Buffer.alloc(0);
  const head = Buffer.alloc(recordHeadBytes);
  head[0] = service.length;
  head[1] = environment.length;
  head.writeUInt32LE(block.length, 2);
  head.writeUInt32LE(group?.heldPolicy?.bytes ?? 0, 6);
  head.writeDoubleLE(group?.asOf ?? 0, 10);
  return [head, Buffer.from(service + environment, 'latin1'), block];
}

/**
 * Reads a file of a tenant, as a whole or not at all. Throws a RefusedFileError when it is not whole, not unchanged, of another
 * format, or of another tenant.
 */
export function decodeSnapshot(file: Buffer, tenant: string): DiskSnapshot {
  if (file.length < headBytes + lengthBytes + checksumBytes || !file.subarray(0, magic.length).equals(magic))
    throw new RefusedFileError('it is no snapshot, or only the beginning of one');
  const version = file.readUInt16LE(magic.length);
  if (version !== formatVersion)
    throw new RefusedFileError(`its format is ${version}, and this program knows ${formatVersion}`);
  const content = file.subarray(0, file.length - checksumBytes);
  if (!createHash('sha256').update(content).digest().equals(file.subarray(content.length)))
    throw new RefusedFileError('its checksum does not match: it was cut off or changed');
  const footerEnd = content.length - lengthBytes;
  const footerStart = footerEnd - content.readUInt32LE(footerEnd);
  const footer = footerFrom(content.toString('utf8', Math.max(0, footerStart), footerEnd));
  if (footer === undefined)
    throw new RefusedFileError('what it says of itself cannot be understood: another program wrote it');
  if (footer.tenant !== tenant) throw new RefusedFileError(`it is of tenant ${footer.tenant}`);
  const records = { buffer: file, start: headBytes, end: footerStart };
  if (!areWhole(records))
    throw new RefusedFileError('its records do not end where they should: another program wrote it');
  return { ...footer, records };
}

/** Undefined: it is none. A right checksum says that a file is as it was written, not that we wrote it. */
function footerFrom(text: string): Footer | undefined {
  try {
    const footer = JSON.parse(text) as Footer;
    const { tenant, state, position, complete, services, verifiedAtMs } = footer;
    const isFooter =
      typeof tenant === 'string' &&
      (state === 'ACTIVE' || state === 'DELETED') &&
      Number.isSafeInteger(position.revision) &&
      typeof position.commitId === 'string' &&
      typeof complete === 'boolean' &&
      (services === null || Array.isArray(services)) &&
      Number.isFinite(verifiedAtMs);
    return isFooter ? footer : undefined;
  } catch (error) {
    // No JSON, or nothing that has these.
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Looked at first, so that reading them stops half-way for no file. */
function areWhole({ buffer, start, end }: Span): boolean {
  let at = start;
  while (at + recordHeadBytes <= end) {
    const blockStart = blockAt(buffer, at);
    const blockEnd = blockStart + buffer.readUInt32LE(at + 2);
    if (blockEnd > end || (blockEnd > blockStart && !isBlock({ buffer, start: blockStart, end: blockEnd })))
      return false;
    at = blockEnd;
  }
  return at === end;
}

/** Where the block of the record at `at` begins. */
function blockAt(file: Buffer, at: number): number {
  return at + recordHeadBytes + (file[at] ?? 0) + (file[at + 1] ?? 0);
}

/**
 * Tells each record, in the file's order. A group's block is a part of the file until it {@link Group.settle}s. One pass that makes
 * nothing between a record and its group: with a view of each block and a map of all of them, 10,000 routes took 45 ms of a cold start.
 */
export function readRecords({ buffer, start, end }: Span, tell: (stored: StoredGroup) => void): void {
  for (let at = start; at < end;) {
    const environmentAt = at + recordHeadBytes + (buffer[at] ?? 0);
    const blockStart = blockAt(buffer, at);
    const blockEnd = blockStart + buffer.readUInt32LE(at + 2);
    const isHeld = blockEnd > blockStart;
    tell({
      service: buffer.toString('latin1', at + recordHeadBytes, environmentAt),
      environment: buffer.toString('latin1', environmentAt, blockStart),
      group: isHeld
        ? groupFromContent(
            { buffer, start: blockStart, end: blockEnd },
            { policyBytes: buffer.readUInt32LE(at + 6), asOf: buffer.readDoubleLE(at + 10) },
          )
        : undefined,
    });
    at = blockEnd;
  }
}
