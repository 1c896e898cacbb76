import { once } from 'node:events';
import { Client, credentials, Metadata, status, type StatusObject } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { createFront } from '../../sidecar/front/create-front.ts';
import { frontKinds } from '../../sidecar/front/front.ts';
import {
  BatchResolveRequest,
  ResolveRequest,
  ResolverServiceService,
} from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { systemClock as clock } from '../../src/platform/clock.ts';
import { afterSockets as schedule } from '../../src/platform/turns.ts';
import { ScriptedServices } from '../fakes/sidecar-scripted-services.ts';

const same = (bytes: Buffer): Buffer => bytes;
const lookup = { ...ResolveRequest.decode(new Uint8Array()), hashKey: 'full' };
const full = Buffer.from(BatchResolveRequest.encode({ requests: [lookup] }).finish());

test.each(frontKinds)('what an instant throws is the status of its call, and ends no other (%s)', async (kind) => {
  await using front = await createFront({ kind, clock, schedule, drainMs: 0 });
  new ScriptedServices().serve(front);
  using owned = new DisposableStack();
  const address = await front.listen('127.0.0.1:0');
  const client = owned.adopt(new Client(address, credentials.createInsecure()), (each) => each.close());
  const { batchResolve, streamResolve } = ResolverServiceService;
  // The second finds the process as it was.
  for (let count = 0; count < 2; count++) {
    const call = client.makeUnaryRequest(batchResolve.path, same, same, full, () => {});
    const [ended] = (await once(call, 'status')) as [StatusObject];
    expect(ended.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(ended.metadata.get('grpc-status-details-bin')).toHaveLength(1);
  }
  const stream = client.makeBidiStreamRequest(streamResolve.path, same, same, new Metadata());
  stream.on('error', () => {});
  stream.resume();
  stream.write(full);
  // Not `once`, which rejects with the error that comes first.
  const ended = await new Promise<StatusObject>((resolve) => void stream.on('status', resolve));
  expect(ended.code).toBe(status.RESOURCE_EXHAUSTED);
});
