import { channelKinds } from '../../src/client/channel.ts';
import { describeClientHeaders } from './client-headers.contract.ts';
import { describeLeftCalls } from './client-left-calls.contract.ts';
import { describeClientOverTls } from './client-tls.contract.ts';
import { describeClient } from './client.contract.ts';

for (const kind of channelKinds) {
  describeClient(kind);
  describeClientHeaders(kind);
  describeLeftCalls(kind);
  describeClientOverTls(kind);
}
