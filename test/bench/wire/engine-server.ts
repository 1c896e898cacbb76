import { createConnection } from 'node:net';
import { WheelClock } from '../../../sidecar/front/wheel-clock.ts';
import { repeatedByServer } from '../../../sidecar/wire/grpc/fields.ts';
import { GrpcAcceptor } from '../../../sidecar/wire/grpc/grpc-acceptor.ts';
import type { Method } from '../../../sidecar/wire/grpc/server-call.ts';
import { wireLimits } from '../../../sidecar/wire/limits.ts';
import { passThrough } from '../../../sidecar/wire/pass-through.ts';
import { WireClient } from '../../../sidecar/wire/wire-client.ts';
import { WireServer } from '../../../sidecar/wire/wire-server.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { afterSockets as schedule } from '../../../src/platform/turns.ts';
import { connectionTo } from '../connection-to.ts';
import { readListening } from '../listening.ts';
import { constantAnswer } from './constant-answer.ts';
import { tellFigures } from '../process-figures.ts';

// The engine by itself, where it is told to listen: BENCH_UPSTREAM not set, it answers a constant; set, it passes everything on to that address.
const clock = new WheelClock(systemClock);
const upstream = process.env['BENCH_UPSTREAM'];
const backlogBytes = wireLimits.streamBacklogBytes;
const resolve: Method = { requests: 'one', handle: (_request, call) => call.answer(constantAnswer) };
const methods = new Map(upstream === undefined ? [['/trafficmanager.v1.ResolverService/Resolve', resolve]] : []);
const client = new WireClient({
  clock,
  schedule,
  limits: wireLimits,
  repeated: new Set(),
  connect: () => createConnection({ ...connectionTo(upstream ?? ''), noDelay: true }),
});
const acceptor = new GrpcAcceptor({
  methods,
  clock,
  backlogBytes,
  messageBytesMax: 16 * 1_048_576,
  passOn: (stream, list, isLast) =>
    passThrough(stream, list, isLast, { connection: client.connection(), backlogBytes }),
});
const server = new WireServer({ acceptor, clock, schedule, limits: wireLimits, repeated: repeatedByServer });
const { socketPath, tls } = readListening(process.env);
const port = await server.listen(socketPath === undefined ? { host: '127.0.0.1', port: 0 } : { path: socketPath }, {
  tls,
});
process.send?.({ address: socketPath === undefined ? `127.0.0.1:${port}` : `unix:${socketPath}` });
tellFigures();
process.once('disconnect', () => process.exit(0));
