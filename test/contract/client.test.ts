import { channelKinds } from '../../src/client/channel.ts';
import { describeClientOverTls } from './client-tls.contract.ts';
import { describeClient } from './client.contract.ts';

for (const kind of channelKinds) {
  describeClient(kind);
  describeClientOverTls(kind);
}
