import { Client, credentials } from '@grpc/grpc-js';

// node probe.ts 127.0.0.1:7401, or unix:/path: ends with 0 if grpc.health.v1 says SERVING there, else with 1. For the health
// checks of containers, whose own probes cannot reach loopback. The image has this file alone of deploy/.

const [address = ''] = process.argv.slice(2);
const timeoutMs = 4_000;

const client = new Client(address, credentials.createInsecure());
const asItIs = (bytes: Buffer): Buffer => bytes;
const empty = Buffer.alloc(0);
const options = { deadline: Date.now() + timeoutMs };

// Both messages are small enough to do without generated code: no service named, and field 1 of the answer is SERVING (1).
client.makeUnaryRequest('/grpc.health.v1.Health/Check', asItIs, asItIs, empty, options, (error, answer) => {
  const isServing = answer?.equals(Buffer.from([0x08, 0x01])) ?? false;
  if (!isServing) console.error(error?.message ?? 'not serving');
  process.exitCode = isServing ? 0 : 1;
  client.close();
});
