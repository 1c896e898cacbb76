import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type ClientHttp2Session } from 'node:http2';
import { createConnection } from 'node:net';
import { connectionTo } from './connection-to.ts';

// Our own generator, for machines without h2load: closed loops of one request each over node:http2. It writes the same log.
const [url = '', body = '', log = '', connections = '1', streams = '1', seconds = '1', rate = '', socket = ''] =
  process.argv.slice(2);
const { origin, pathname } = new URL(url);
const request = readFileSync(body);
const endMs = performance.now() + Number(seconds) * 1_000;
/** Between two calls of one loop, ms; 0: the next begins when the last has ended. */
const pauseMs = rate === '' ? 0 : (1_000 * Number(streams)) / Number(rate);
const lines: string[] = [];

function once(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve, reject) => {
    const startMs = performance.now();
    const stream = session.request({
      ':method': 'POST',
      ':path': pathname,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let status = 0;
    stream.on('response', (headers) => {
      status = headers[':status'] ?? 0;
    });
    stream.on('data', () => {});
    stream.on('error', reject);
    stream.on('close', () => {
      lines.push(`${Math.round(startMs * 1_000)}\t${status}\t${Math.round((performance.now() - startMs) * 1_000)}`);
      resolve();
    });
    stream.end(request);
  });
}

async function loop(session: ClientHttp2Session): Promise<void> {
  for (let nextMs = performance.now(); performance.now() < endMs; nextMs += pauseMs) {
    const earlyMs = nextMs - performance.now();
    if (earlyMs > 0) await sleep(earlyMs);
    await once(session);
  }
}

const sessions = Array.from({ length: Number(connections) }, () =>
  connect(origin, {
    rejectUnauthorized: false,
    ...(socket === '' ? {} : { createConnection: () => createConnection(connectionTo(socket)) }),
  }),
);
await Promise.all(sessions.flatMap((session) => Array.from({ length: Number(streams) }, () => loop(session))));
for (const session of sessions) session.destroy();
writeFileSync(log, lines.join('\n'));
