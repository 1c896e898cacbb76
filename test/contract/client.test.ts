import { channelKinds } from '../../src/client/channel.ts';
import { describeLeftCalls } from './client-left-calls.contract.ts';
import { describeClientOverTls } from './client-tls.contract.ts';
import { describeClient } from './client.contract.ts';

for (const kind of channelKinds) {
  describeClient(kind);
  describeLeftCalls(kind);
  describeClientOverTls(kind);
}
