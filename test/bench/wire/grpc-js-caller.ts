import assert from 'node:assert/strict';
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { largeMessageBytes } from './large-messages.ts';

const same = (bytes: Buffer): Buffer => bytes;
const callsAtATime = 100;

/** grpc-js against our engine: all shapes, and what may go wrong. Answers one line for each thing that holds. */
export async function callAllByGrpcJs(address: string): Promise<string> {
  const options = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };
  const client = new Client(address, credentials.createInsecure(), options);
  for (const size of [0, 1, 70_000, 4 * 1_048_576, largeMessageBytes]) {
    const message = Buffer.alloc(size, 0x61);
    assert.ok((await unary(client, 'Unary', message)).equals(message));
  }
  const lines = ['unary, 0 to 64 MiB'];
  await assert.rejects(
    unary(client, 'Refused', Buffer.from('x')),
    (error: ServiceError) => error.code === status.FAILED_PRECONDITION && error.details === 'nö: 100 %',
  );
  await assert.rejects(
    unary(client, 'Never', Buffer.from('x'), 100),
    (error: ServiceError) => error.code === status.DEADLINE_EXCEEDED,
  );
  lines.push('statuses, their text, deadlines');
  await streams(client);
  lines.push('all streams');
  let left = 10_000;
  const loop = async (): Promise<void> => {
    while (left-- > 0) assert.equal((await unary(client, 'Unary', Buffer.from(String(left)))).length > 0, true);
  };
  await Promise.all(Array.from({ length: callsAtATime }, loop));
  lines.push('10,000 streams of one connection');
  client.close();
  return lines.join('\n');
}

function unary(client: Client, name: string, message: Buffer, timeoutMs = 60_000): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settings = { deadline: Date.now() + timeoutMs };
    client.makeUnaryRequest(`/test.Echo/${name}`, same, same, message, settings, (error, answer) =>
      error === null ? resolve(answer!) : reject(error),
    );
  });
}

async function streams(client: Client): Promise<void> {
  const many = client.makeServerStreamRequest('/test.Echo/ServerStream', same, same, Buffer.from([200]));
  assert.equal((await many.toArray()).length, 200);
  const count = await new Promise<Buffer>((resolve, reject) => {
    const call = client.makeClientStreamRequest('/test.Echo/ClientStream', same, same, (error, answer?: Buffer) =>
      error === null ? resolve(answer!) : reject(error),
    );
    for (let sent = 0; sent < 10; sent++) call.write(Buffer.alloc(100_000, 0x61));
    call.end();
  });
  assert.equal(count.toString(), '1000000');
  const bidi = client.makeBidiStreamRequest('/test.Echo/Bidi', same, same);
  const talked = [Buffer.from('one'), Buffer.from('two'), Buffer.alloc(300_000, 0x78)];
  for (const message of talked) bidi.write(message);
  bidi.end();
  assert.deepEqual(await bidi.toArray(), talked);
}
