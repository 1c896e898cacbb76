import { connect, type ClientHttp2Session } from 'node:http2';

// Asks for one route again and again, one call at a time with a pause between them, and notes how long each took.
const [origin = '', path = '', body = '', pauseMs = '2'] = process.argv.slice(2);
const request = Buffer.from(body, 'base64');
let durationsMs: number[] = [];

function ask(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve, reject) => {
    const startMs = performance.now();
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let status = '';
    stream.on('trailers', (trailers) => {
      status = String(trailers['grpc-status']);
    });
    stream.on('data', () => {});
    stream.on('error', reject);
    stream.on('close', () => {
      if (status !== '0') return reject(new Error(`Resolve ended with ${status}`));
      durationsMs.push(performance.now() - startMs);
      resolve();
    });
    stream.end(request);
  });
}

process.on('message', () => {
  process.send?.(durationsMs);
  durationsMs = [];
});
process.once('disconnect', () => process.exit(0));
const session = connect(origin);
for (;;) {
  await ask(session);
  await new Promise((resolve) => setTimeout(resolve, Number(pauseMs)));
}
