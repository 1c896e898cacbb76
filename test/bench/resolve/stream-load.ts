import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:http2';

// One bidirectional stream with some messages in flight, over node:http2: only lengths are read of the answers. Writes how many came.
const [url = '', body = '', log = '', inFlight = '8', seconds = '1'] = process.argv.slice(2);
const { origin, pathname } = new URL(url);
const frame = readFileSync(body);
const session = connect(origin);
const stream = session.request({
  ':method': 'POST',
  ':path': pathname,
  'content-type': 'application/grpc',
  te: 'trailers',
});
const prefixBytes = 5;
const endMs = performance.now() + Number(seconds) * 1_000;
let messages = 0;
/** Bytes of the message under way that are still to come, and what has come of the head of the next. */
let skip = 0;
let head: Buffer = Buffer.alloc(0);

function answered(): void {
  messages++;
  if (performance.now() < endMs) return void stream.write(frame);
  writeFileSync(log, String(messages));
  session.destroy();
  process.exit(0);
}

stream.on('data', (bytes: Buffer) => {
  let rest = head.length === 0 ? bytes : Buffer.concat([head, bytes]);
  head = Buffer.alloc(0);
  while (rest.length > 0) {
    const skipped = Math.min(skip, rest.length);
    skip -= skipped;
    rest = rest.subarray(skipped);
    if (skip > 0) return;
    if (skipped > 0) answered();
    if (rest.length < prefixBytes) break;
    skip = prefixBytes + rest.readUInt32BE(1);
  }
  head = rest;
});
stream.on('end', () => process.exit(1));
stream.on('error', () => process.exit(1));
for (let message = 0; message < Number(inFlight); message++) stream.write(frame);
