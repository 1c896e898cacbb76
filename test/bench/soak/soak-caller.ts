import { createConnection, type Socket } from 'node:net';
import type { AlarmClock } from '../../../sidecar/wire/alarm.ts';
import type { ClientCall } from '../../../sidecar/wire/grpc/client-call.ts';
import { type CallSettings, GrpcClient } from '../../../sidecar/wire/grpc/grpc-client.ts';
import { type CallStatus, statusCodes } from '../../../sidecar/wire/grpc/status-code.ts';
import { wireLimits } from '../../../sidecar/wire/limits.ts';
import {
  BatchResolveResponse,
  ResolveResponse,
  StreamResolveResponse,
  type ResolveResult,
} from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { problemOf, type SoakRequests } from './soak-requests.ts';
import type { SoakTally } from './soak-tally.ts';

export type SoakCallerOptions = {
  readonly address: string;
  readonly clock: AlarmClock;
  readonly requests: SoakRequests;
  readonly tally: SoakTally;
};

const service = '/trafficmanager.v1.ResolverService';
/** A call that takes longer hangs. */
const patienceMs = 30_000;
/** Between two calls of a connection that their caller gives up: a server takes 33 each second. */
const abruptEveryMs = 100;

/** How one call may end, besides well. */
type Excuse = 'none' | 'late' | 'cancelled';

/** One client of one connection, which it makes anew when it was cut; every answer is held against what was asked. */
export class SoakCaller {
  readonly #options: SoakCallerOptions;
  #client: GrpcClient;
  #socket: Socket | undefined;
  /** What was under way on one of them has an excuse. */
  readonly #cutSockets = new WeakSet<Socket>();
  #abruptAtMs = 0;
  /** Of unary answers, which come in the order of their revisions. */
  #revision = 0;

  constructor(options: SoakCallerOptions) {
    this.#options = options;
    this.#client = this.#connect();
  }

  #connect(): GrpcClient {
    const { address, clock } = this.#options;
    const [host = '', port = ''] = address.split(':');
    return new GrpcClient({
      authority: address,
      isSecure: false,
      clock,
      schedule: (run) => void setImmediate(run),
      limits: wireLimits,
      messageBytesMax: 16_000_000,
      connect: () => (this.#socket = createConnection({ host, port: Number(port), noDelay: true })),
    });
  }

  /** Breaks the connection, in one of the ways in which connections break. */
  cut(): void {
    const { requests } = this.#options;
    if (this.#socket !== undefined) this.#cutSockets.add(this.#socket);
    if (requests.chance(0.4)) this.#socket?.resetAndDestroy();
    else if (requests.chance(0.5)) this.#socket?.destroy();
    else {
      this.#client[Symbol.dispose]();
      this.#client = this.#connect();
    }
  }

  /** One call of some kind; resolves when it has ended, never rejects. */
  async call(): Promise<void> {
    const { requests, tally } = this.#options;
    const kind = requests.below(100);
    tally.count('calls');
    if (kind < 90) return await this.#unary();
    if (kind < 95) return await this.#batch();
    return await this.#stream();
  }

  async #unary(): Promise<void> {
    const { requests, tally } = this.#options;
    const index = requests.index();
    await this.#exchange('Resolve', {
      messages: [requests.one(index)],
      mayBeMissing: requests.isMissing(index),
      read: (bytes) => {
        const answer = ResolveResponse.decode(bytes);
        tally.count('lookups');
        const revision = Number(answer.freshness?.revision ?? 0n);
        tally.saw(revision);
        if (revision < this.#revision) return `revision ${revision} after ${this.#revision}`;
        this.#revision = revision;
        return requests.isMissing(index) ? `route ${index} is none` : problemOf(index, answer);
      },
    });
  }

  async #batch(): Promise<void> {
    const { requests } = this.#options;
    const indexes = this.#indexes(50);
    await this.#exchange('BatchResolve', {
      messages: [requests.many(indexes)],
      read: (bytes) => this.#problemOfResults(indexes, BatchResolveResponse.decode(bytes).results),
    });
  }

  async #stream(): Promise<void> {
    const { requests } = this.#options;
    const asked = Array.from({ length: 1 + requests.below(20) }, () => this.#indexes(16));
    let read = 0;
    await this.#exchange('StreamResolve', {
      messages: asked.map((indexes) => requests.many(indexes)),
      read: (bytes) => this.#problemOfResults(asked[read++] ?? [], StreamResolveResponse.decode(bytes).results),
    });
  }

  #indexes(countMax: number): number[] {
    const { requests } = this.#options;
    return Array.from({ length: 1 + requests.below(countMax) }, () => requests.index());
  }

  #problemOfResults(indexes: readonly number[], results: readonly ResolveResult[]): string | undefined {
    const { requests, tally } = this.#options;
    if (indexes.length !== results.length) return `${results.length} results of ${indexes.length}`;
    tally.count('lookups', results.length);
    for (const [at, index] of indexes.entries()) {
      const result = results[at]?.result;
      const isMissing = result?.$case === 'error' && result.value.code === statusCodes.NOT_FOUND;
      if (isMissing !== requests.isMissing(index)) return `route ${index} is ${result?.$case}`;
      const problem = result?.$case === 'response' ? problemOf(index, result.value) : undefined;
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  #exchange(
    method: string,
    {
      messages,
      read,
      mayBeMissing = false,
    }: {
      readonly messages: readonly Uint8Array[];
      readonly read: (bytes: Buffer) => string | undefined;
      readonly mayBeMissing?: boolean;
    },
  ): Promise<void> {
    const { tally } = this.#options;
    const { excuse, settings } = this.#settings();
    let answers = 0;
    // Of a call whose time was over before it began: none.
    let socket: Socket | undefined;
    return new Promise((resolve) => {
      const call = this.#client.start(
        `${service}/${method}`,
        {
          message: (bytes) => {
            answers++;
            const problem = read(bytes);
            if (problem !== undefined) tally.error(`${method}: ${problem}`);
          },
          ended: ({ status }) => {
            const isWhole = status.code !== statusCodes.OK || answers === messages.length;
            if (!isWhole) tally.error(`${method}: ${answers} answers of ${messages.length}`);
            this.#judge(method, status, { excuse, mayBeMissing, isCut: this.#isCut(socket) });
            resolve();
          },
          drained: () => {},
        },
        settings,
      );
      socket = this.#socket;
      for (const [at, message] of messages.entries()) call.send(message, at === messages.length - 1);
      if (excuse === 'cancelled') this.#cancelSoon(call);
    });
  }

  #settings(): { readonly excuse: Excuse; readonly settings: CallSettings } {
    const { requests, clock } = this.#options;
    const fields = requests.fields();
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#abruptAtMs < abruptEveryMs)
      return { excuse: 'none', settings: { fields, timeoutMs: patienceMs } };
    this.#abruptAtMs = nowMs;
    return requests.chance(0.5)
      ? { excuse: 'late', settings: { fields, timeoutMs: requests.below(5) } }
      : { excuse: 'cancelled', settings: { fields, timeoutMs: patienceMs } };
  }

  #cancelSoon(call: ClientCall): void {
    if (this.#options.requests.chance(0.5)) call.cancel();
    else setImmediate(() => call.cancel());
  }

  #judge(
    method: string,
    { code, message }: CallStatus,
    {
      excuse,
      mayBeMissing,
      isCut,
    }: { readonly excuse: Excuse; readonly mayBeMissing: boolean; readonly isCut: boolean },
  ): void {
    const { tally } = this.#options;
    if (code === statusCodes.OK) return;
    if (code === statusCodes.NOT_FOUND && mayBeMissing) tally.count('notFound');
    else if (code === statusCodes.DEADLINE_EXCEEDED && excuse === 'late') tally.count('late');
    else if (code === statusCodes.CANCELLED && excuse === 'cancelled') tally.count('cancelled');
    else if (isCut) tally.count('cut');
    else tally.error(`${method}: ${code} ${message}`);
  }

  #isCut(socket: Socket | undefined): boolean {
    return socket !== undefined && this.#cutSockets.has(socket);
  }
}
