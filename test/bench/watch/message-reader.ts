const prefixBytes = 5;
/** Prefix, `revision` (11), `commit_id` (2 and 36 at most), and the tag of the event. */
const headBytes = prefixBytes + 11 + 38 + 1;
const snapshotChunkTag = (3 << 3) | 2;

/** Finds the revisions of the messages of one Watch stream in its bytes, without decoding what else is in them. */
export class MessageReader {
  /** Bytes of the current message that are still to come. */
  #skip = 0;
  #head: Buffer = Buffer.alloc(0);
  /** How far the stream has come; a snapshot counts once something has come after it. */
  revision = 0;
  messages = 0;
  bytes = 0;

  read(bytes: Buffer): void {
    this.bytes += bytes.length;
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, rest.length);
        this.#skip -= skipped;
        rest = rest.subarray(skipped);
        continue;
      }
      if (this.#head.length > 0) rest = Buffer.concat([this.#head, rest]);
      this.#head = Buffer.alloc(0);
      const length = rest.length < prefixBytes ? 0 : rest.readUInt32BE(1);
      if (rest.length < prefixBytes || rest.length < Math.min(headBytes, prefixBytes + length)) {
        this.#head = rest;
        return;
      }
      this.revision = Math.max(this.revision, revisionOf(rest.subarray(prefixBytes)));
      this.messages++;
      this.#skip = prefixBytes + length;
    }
  }
}

/** `revision` and `commit_id` come first in every message. */
function revisionOf(message: Buffer): number {
  if (message[0] !== 8) return 0;
  let revision = 0;
  let at = 1;
  for (; at < 11; at++) {
    const byte = message[at] ?? 0;
    revision += (byte & 0x7f) * 2 ** (7 * (at - 1));
    if (byte < 0x80) break;
  }
  const commitIdBytes = message[at + 2] ?? 0;
  return message[at + 3 + commitIdBytes] === snapshotChunkTag ? 0 : revision;
}
