import { wireLimits } from '../../../sidecar/wire/limits.ts';
import { startTestServer, testMethods } from '../../support/sidecar-wire/test-server.ts';
import { limitsForLargeMessages } from './large-messages.ts';

// Every shape of call, for callers of other languages; BENCH_LARGE: of messages as large as 64 MiB.
const limits = process.env['BENCH_LARGE'] === undefined ? wireLimits : limitsForLargeMessages;
const { port } = await startTestServer({ methods: testMethods(), limits });
process.send?.({ address: `127.0.0.1:${port}` });
process.once('disconnect', () => process.exit(0));
