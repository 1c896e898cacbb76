import { createFront } from '../../../sidecar/front/create-front.ts';
import { type FrontKind, frontKinds } from '../../../sidecar/front/front.ts';
import { percentDecode } from '../../../sidecar/wire/grpc/percent.ts';
import { systemClock as clock } from '../../../src/platform/clock.ts';
import { afterSockets as schedule } from '../../../src/platform/turns.ts';
import { EchoServices } from '../../fakes/sidecar-echo-services.ts';
import { FrontCaller, type HeardCall } from './front-caller.ts';

/** What a caller is told, without what is nobody's promise: how fields lie in the two lists, and the words of what no handler said. */
export type ToldCall = {
  readonly code: string | undefined;
  /** `:status`, the text and details of a handler's refusal, and all other fields, of headers and trailers together. */
  readonly fields: Readonly<Record<string, string>>;
  readonly body: string;
  readonly reset: string | undefined;
};

/** A script: pieces of bytes that one connection says, and the streams whose calls are to be heard out. */
export type Script = { readonly pieces: readonly Buffer[]; readonly streamIds: readonly number[] };

/** What grpc-js says of itself; nothing that a call is about. */
const ownFields: ReadonlySet<string> = new Set(['date', 'grpc-accept-encoding', 'grpc-encoding']);

/** Both fronts, with the same services behind them: grpc-js is the oracle of our own engine. */
export class TwoFronts implements AsyncDisposable {
  readonly #owned = new AsyncDisposableStack();
  readonly #addresses = new Map<FrontKind, string>();
  readonly #services = new Map<FrontKind, EchoServices>();

  static async start(): Promise<TwoFronts> {
    const fronts = new TwoFronts();
    for (const kind of frontKinds) {
      const front = fronts.#owned.use(await createFront({ kind, clock, schedule, drainMs: 0 }));
      const services = new EchoServices();
      services.serve(front);
      fronts.#services.set(kind, services);
      fronts.#addresses.set(kind, await front.listen('127.0.0.1:0'));
    }
    return fronts;
  }

  /** What the calls of a script are told by a front; undefined: it has ended the connection. */
  async ask(kind: FrontKind, { pieces, streamIds }: Script): Promise<readonly ToldCall[] | undefined> {
    using caller = await FrontCaller.open(this.#addresses.get(kind) ?? '');
    await caller.write(pieces);
    const heard = await Promise.all(streamIds.map((id) => caller.heard(id)));
    return (await caller.isAlive()) ? heard.map(told) : undefined;
  }

  /** Resolves when no handler of our own front waits for a caller that has gone. */
  async settled(): Promise<void> {
    while (this.#services.get('wire')?.waiting !== 0) await new Promise((resolve) => void setImmediate(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}

function told({ lists, body, reset }: HeardCall): ToldCall {
  const fields: Record<string, string> = Object.assign({}, ...lists) as Record<string, string>;
  const { 'grpc-status': code, 'grpc-message': message = '', ...others } = fields;
  // A refusal of a handler has details; any other text is the library's own.
  const own = others['grpc-status-details-bin'] === undefined ? {} : { message: withoutMade(percentDecode(message)) };
  const rest = Object.entries(others)
    .filter(([name]) => !ownFields.has(name))
    .map(([name, value]) => [name, name === 'grpc-status-details-bin' ? detailsOf(value) : withoutMade(value)]);
  return { code, fields: { ...own, ...(Object.fromEntries(rest) as Record<string, string>) }, body, reset };
}

/** A correlation id that was made is another each time. */
function withoutMade(text: string): string {
  return text.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '(made)');
}

function detailsOf(encoded: string): string {
  return withoutMade(Buffer.from(encoded, 'base64').toString('latin1'));
}
