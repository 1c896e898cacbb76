import { Server, ServerCredentials, type sendUnaryData } from '@grpc/grpc-js';
import {
  ResolveResponse,
  ResolverServiceService,
  SelectionReason,
  FreshnessSource,
} from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { routeToWire } from '../../../src/wire/route-wire.ts';
import { benchRoute } from './bench-routes.ts';
import { readListening } from '../listening.ts';
import { tellFigures } from '../process-figures.ts';

// What plain grpc-js with ts-proto takes to answer one fixed message of the same size: the base of the ratio.
const response = ResolveResponse.decode(
  ResolveResponse.encode({
    route: routeToWire(benchRoute(1)),
    selectionReason: SelectionReason.SELECTION_REASON_KEY,
    matchRule: '',
    freshness: {
      source: FreshnessSource.FRESHNESS_SOURCE_SNAPSHOT,
      revision: 10_001n,
      stalenessMs: 500n,
      stale: false,
    },
  }).finish(),
);
const server = new Server();
server.addService(
  { resolve: ResolverServiceService.resolve },
  { resolve: (_call: unknown, callback: sendUnaryData<ResolveResponse>) => callback(null, response) },
);
const { socketPath, tls } = readListening(process.env);
const address = socketPath === undefined ? '127.0.0.1:0' : `unix:${socketPath}`;
const own = tls && [{ cert_chain: Buffer.from(tls.cert), private_key: Buffer.from(tls.key) }];
const serverCredentials = own ? ServerCredentials.createSsl(null, own) : ServerCredentials.createInsecure();
server.bindAsync(address, serverCredentials, (error, port) => {
  if (error !== null) throw error;
  process.send?.({ address: socketPath === undefined ? `127.0.0.1:${port}` : address });
});
tellFigures();
process.once('disconnect', () => process.exit(0));
