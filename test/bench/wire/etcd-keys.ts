import { createConnection } from 'node:net';
import { WheelClock } from '../../../sidecar/front/wheel-clock.ts';
import { GrpcClient } from '../../../sidecar/wire/grpc/grpc-client.ts';
import { wireLimits } from '../../../sidecar/wire/limits.ts';
import { systemClock } from '../../../src/platform/clock.ts';

const putsAtATime = 64;
/** An election comes first. */
const timeoutMs = 30_000;

/** Puts keys into etcd, of about the length of a route's. */
export async function fillEtcd(
  address: string,
  { keys, valueBytes }: { readonly keys: number; readonly valueBytes: number },
): Promise<void> {
  using clock = new WheelClock(systemClock);
  const [host = '', port = ''] = address.split(':');
  using client = new GrpcClient({
    authority: address,
    isSecure: false,
    clock,
    schedule: (run) => void setImmediate(run),
    limits: wireLimits,
    messageBytesMax: 1_000_000,
    connect: () => createConnection({ host, port: Number(port), noDelay: true }),
  });
  const value = Buffer.alloc(valueBytes, 0x78);
  let next = 0;
  const put = async (): Promise<void> => {
    while (next < keys) {
      const message = Buffer.concat([bytesField(1, keyOf(next++)), bytesField(2, value)]);
      await client.unary('/etcdserverpb.KV/Put', message, { timeoutMs });
    }
  };
  await Promise.all(Array.from({ length: putsAtATime }, put));
  const answer = await client.unary('/etcdserverpb.KV/Range', serializableRange(0), { timeoutMs });
  if (answer.length < valueBytes) throw new Error('etcd does not answer what was put');
}

/** `etcdserverpb.RangeRequest` of one key, which any member answers from what it has. */
export function serializableRange(index: number): Buffer {
  const serializable = Buffer.from([7 << 3, 1]);
  return Buffer.concat([bytesField(1, keyOf(index)), serializable]);
}

function keyOf(index: number): Buffer {
  return Buffer.from(`bench/service-${index}/production/v1`);
}

/** A field of protobuf that holds bytes. */
function bytesField(number: number, bytes: Buffer): Buffer {
  const length = bytes.length < 128 ? [bytes.length] : [(bytes.length % 128) + 128, Math.floor(bytes.length / 128)];
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
}
