import { BenchConnection } from './http2-frames.ts';
import { MessageReader } from './message-reader.ts';

// Many watchers in one process. Told by its parent what to do, in JSON; tells it when the last of them has a revision.

/** What the parent says. */
export type ClientsCommand =
  /** Opens streams; answered by `joined` once every one of them has been sent something, unless another command follows. */
  | {
      readonly kind: 'open';
      readonly address: string;
      readonly connections: number;
      readonly streams: number;
      /** Encoded WatchRequest, base64. */
      readonly request: string;
    }
  /** Answered by `reached` once the last stream has it. */
  | { readonly kind: 'await'; readonly revision: number }
  | { readonly kind: 'count' };

/** What this process says. */
export type ClientsReport =
  | { readonly kind: 'joined' }
  /** `atNs` on the machine's monotonic clock. */
  | { readonly kind: 'reached'; readonly revision: number; readonly atNs: string }
  | { readonly kind: 'counted'; readonly messages: number; readonly bytes: number; readonly ended: number };

const readers: MessageReader[] = [];
let awaited: { readonly revision: number; left: number } | undefined;
let unheard = 0;
let ended = 0;

function report(message: ClientsReport): void {
  process.send?.(message);
}

function check(): void {
  if (awaited === undefined || awaited.left > 0) return;
  report({ kind: 'reached', revision: awaited.revision, atNs: String(process.hrtime.bigint()) });
  awaited = undefined;
}

function open({ address, connections, streams, request }: ClientsCommand & { kind: 'open' }): void {
  const [host = '', port = ''] = address.split(':');
  const message = Buffer.from(request, 'base64');
  for (let connection = 0; connection < connections; connection++) {
    const byStream = new Map<number, MessageReader>();
    const http2 = new BenchConnection({
      host,
      port: Number(port),
      onData: (stream, bytes) => {
        const reader = byStream.get(stream);
        if (reader === undefined) return;
        if (reader.bytes === 0 && --unheard === 0) report({ kind: 'joined' });
        const before = reader.revision;
        reader.read(bytes);
        if (awaited === undefined || before >= awaited.revision || reader.revision < awaited.revision) return;
        awaited.left--;
        check();
      },
      onEnd: () => {
        ended++;
      },
    });
    for (let stream = 0; stream < streams; stream++) {
      const reader = new MessageReader();
      readers.push(reader);
      byStream.set(http2.call('/trafficmanager.v1.WatchService/Watch', message), reader);
    }
  }
  unheard = readers.length;
}

process.on('message', (command: ClientsCommand) => {
  switch (command.kind) {
    case 'open':
      return open(command);
    case 'await': {
      const { revision } = command;
      awaited = { revision, left: readers.filter((reader) => reader.revision < revision).length };
      return check();
    }
    case 'count':
      return report({
        kind: 'counted',
        messages: readers.reduce((total, reader) => total + reader.messages, 0),
        bytes: readers.reduce((total, reader) => total + reader.bytes, 0),
        ended,
      });
  }
});
process.once('disconnect', () => process.exit(0));
