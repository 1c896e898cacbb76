import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { WheelClock } from '../../../sidecar/front/wheel-clock.ts';
import type { CallResult } from '../../../sidecar/wire/grpc/client-call.ts';
import { CallError, GrpcClient } from '../../../sidecar/wire/grpc/grpc-client.ts';
import { statusCodes } from '../../../sidecar/wire/grpc/status-code.ts';
import { HeaderField } from '../../../sidecar/wire/hpack/header-field.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { largeMessageBytes, limitsForLargeMessages } from './large-messages.ts';

const timeoutMs = 60_000;
const callsAtATime = 50;

/** Our client against a server of somebody else: all shapes, and what may go wrong. Answers one line for each thing that holds. */
export async function callAll(address: string): Promise<string> {
  using clock = new WheelClock(systemClock);
  const [host = '', port = ''] = address.split(':');
  using client = new GrpcClient({
    authority: address,
    isSecure: false,
    clock,
    schedule: (run) => void setImmediate(run),
    // One connection: calls that it does not take fail.
    limits: { ...limitsForLargeMessages, connectionsMax: 1 },
    messageBytesMax: largeMessageBytes,
    connect: () => createConnection({ host, port: Number(port), noDelay: true }),
  });
  for (const size of [0, 1, 70_000, 4 * 1_048_576, largeMessageBytes]) {
    const message = Buffer.alloc(size, 0x61);
    assert.ok((await client.unary('/test.Echo/Unary', message, { timeoutMs })).equals(message));
  }
  const lines = ['unary, 0 to 64 MiB'];
  await metadata(client);
  lines.push('metadata and trailers, binary ones too');
  await failures(client);
  lines.push('statuses, their text, deadlines, cancellation');
  await streams(client);
  lines.push('all streams');
  let left = 10_000;
  const loop = async (): Promise<void> => {
    while (left-- > 0) {
      const message = Buffer.from(String(left));
      assert.deepEqual(await client.unary('/test.Echo/Unary', message, { timeoutMs }), message);
    }
  };
  await Promise.all(Array.from({ length: callsAtATime }, loop));
  lines.push('10,000 streams of one connection');
  return lines.join('\n');
}

async function metadata(client: GrpcClient): Promise<void> {
  const binary = Buffer.from([0, 255]).toString('base64');
  const fields = [new HeaderField('x-some', 'value'), new HeaderField('x-some-bin', binary)];
  const { trailers } = (await exchange(client, 'Unary', { messages: [Buffer.from('x')], fields })).result;
  assert.equal(trailers?.get('x-some'), 'value');
  // Padding may be left out.
  assert.equal(Buffer.from(trailers?.get('x-some-bin') ?? '', 'base64').toString('base64'), binary);
}

async function failures(client: GrpcClient): Promise<void> {
  const fails = async (name: string, code: number, settings: object): Promise<CallError> => {
    const error: unknown = await client.unary(`/test.Echo/${name}`, Buffer.from('x'), settings).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof CallError, `${name} did not fail`);
    assert.equal(error.status.code, code);
    return error;
  };
  await fails('None', statusCodes.UNIMPLEMENTED, { timeoutMs });
  assert.equal((await fails('Refused', statusCodes.FAILED_PRECONDITION, { timeoutMs })).status.message, 'nö: 100 %');
  await fails('Never', statusCodes.DEADLINE_EXCEEDED, { timeoutMs: 100 });
  await fails('Never', statusCodes.CANCELLED, { timeoutMs, signal: AbortSignal.timeout(100) });
}

async function streams(client: GrpcClient): Promise<void> {
  const many = await exchange(client, 'ServerStream', { messages: [Buffer.from([200])] });
  assert.equal(many.answers.length, 200);
  const pieces = Array.from({ length: 10 }, () => Buffer.alloc(100_000, 0x61));
  const counted = await exchange(client, 'ClientStream', { messages: pieces });
  assert.equal(String(counted.answers[0]), '1000000');
  const talked = [Buffer.from('one'), Buffer.from('two'), Buffer.alloc(300_000, 0x78)];
  assert.deepEqual((await exchange(client, 'Bidi', { messages: talked })).answers, talked);
}

function exchange(
  client: GrpcClient,
  method: string,
  { messages, fields = [] }: { readonly messages: readonly Buffer[]; readonly fields?: readonly HeaderField[] },
): Promise<{ readonly answers: readonly Buffer[]; readonly result: CallResult }> {
  return new Promise((resolve, reject) => {
    const answers: Buffer[] = [];
    const call = client.start(
      `/test.Echo/${method}`,
      {
        message: (bytes) => void answers.push(Buffer.from(bytes)),
        ended: (result) => {
          if (result.status.code === statusCodes.OK) resolve({ answers, result });
          else reject(new CallError(result));
        },
        drained: () => {},
      },
      { timeoutMs, fields },
    );
    for (const message of messages) call.send(message);
    call.finish();
  });
}
