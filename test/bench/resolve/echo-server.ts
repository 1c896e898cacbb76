import { Server, ServerCredentials, type sendUnaryData } from '@grpc/grpc-js';
import {
  ResolveResponse,
  ResolverServiceService,
  SelectionReason,
  FreshnessSource,
} from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { routeToWire } from '../../../src/wire/route-wire.ts';
import { benchRoute } from './bench-routes.ts';
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
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.send?.({ address: `127.0.0.1:${port}` });
});
tellFigures();
process.once('disconnect', () => process.exit(0));
