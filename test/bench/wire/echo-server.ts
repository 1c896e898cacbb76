import { startTestServer, testMethods } from '../../support/sidecar-wire/test-server.ts';

// Every shape of call, for callers of other languages.
const { port } = await startTestServer({ methods: testMethods() });
process.send?.({ address: `127.0.0.1:${port}` });
process.once('disconnect', () => process.exit(0));
