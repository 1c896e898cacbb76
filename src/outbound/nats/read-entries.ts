import { AckPolicy, DeliverPolicy, nanos, type JetStreamClient, type JetStreamManager, type JsMsg } from 'nats';
import type { Change } from '../../domain/change.ts';
import { ChangeStreamError, type StreamEntry } from '../../ports/change-stream.ts';
import { changeSubject, metaSubject, streamName } from '../../wire/stream-subjects.ts';
import { decodeStreamChange } from '../../wire/stream-wire.ts';
import { streamCallLimits } from './limits.ts';
import { streamCall } from './stream-call.ts';

/**
 * Reads a stream from its first message to the one that is its last when all before it were read, through a consumer of its own
 * that is removed afterwards. Its deliveries are counted: one that is lost on the way fails the reading.
 */
export async function* readEntries(
  { js, jsm }: { readonly js: JetStreamClient; readonly jsm: JetStreamManager },
  tenant: string,
): AsyncIterable<StreamEntry> {
  const name = streamName(tenant);
  const what = `read stream ${name}`;
  const info = await streamCall(
    what,
    jsm.consumers.add(name, {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.All,
      inactive_threshold: nanos(streamCallLimits.readerIdleMs),
      mem_storage: true,
    }),
  );
  try {
    if (info.num_pending === 0) return;
    const consumer = await streamCall(what, js.consumers.get(name, info.name));
    for (let delivered = 0, pending = info.num_pending; pending > 0;) {
      const batch = await streamCall(
        what,
        consumer.fetch({
          max_messages: Math.min(pending, streamCallLimits.entriesPerFetch),
          expires: streamCallLimits.callMsMax,
        }),
      );
      const before = delivered;
      for await (const message of batch) {
        const { deliverySequence } = message.info;
        pending = message.info.pending;
        if (deliverySequence !== ++delivered)
          throw new ChangeStreamError('unavailable', `cannot ${what}: delivery ${delivered} was lost`);
        if (message.subject !== metaSubject(tenant)) yield entryOf(tenant, message);
      }
      if (delivered === before) throw new ChangeStreamError('unavailable', `cannot ${what}: nothing more came`);
    }
  } finally {
    // If it cannot be removed now, the server does so when it has been idle.
    await jsm.consumers.delete(name, info.name).catch(() => false);
  }
}

function entryOf(tenant: string, message: JsMsg): StreamEntry {
  return { subject: message.subject, sequence: message.seq, change: changeOf(tenant, message) };
}

function changeOf(tenant: string, { subject, data }: JsMsg): Change | undefined {
  try {
    const change = decodeStreamChange(data);
    const belongs =
      change.tenant === tenant && change.subject.kind !== 'tenant' && changeSubject(tenant, change.subject) === subject;
    return belongs ? change : undefined;
  } catch {
    // Whatever it is, it must not be there: the reconciler replaces it.
    return undefined;
  }
}
