import type { Front } from '../../sidecar/front/front.ts';
import { DomainError } from '../../src/domain/domain-error.ts';
import {
  BatchResolveRequest,
  ResolverServiceService,
  type StreamResolveRequest,
} from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { WatchServiceService } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import type { CallContext, Instant, StreamWriter } from '../../src/platform/grpc/handlers.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { serviceOptions } from '../../src/serving/service-options.ts';

/** Services of a front that do what the requests say, and note what they saw. */
export class ScriptedServices {
  readonly contexts: CallContext[] = [];
  readonly events: string[] = [];
  /** Ends the calls that wait for it. */
  readonly release = Promise.withResolvers<void>();
  writer: StreamWriter<never> | undefined;
  /** Answers that were begun, and not let go of yet. */
  begun = 0;

  serve(front: Front): void {
    const options = serviceOptions({ logger: createLogger('test', 'silent'), draining: front.draining });
    front.serve(
      ResolverServiceService,
      {
        resolve: async ({ hashKey }, context) => this.#resolve(hashKey, context),
        batchResolve: async ({ requests }) => {
          if (requests[0]?.hashKey === 'refuse') throw new DomainError('INVALID_FIELDS', 'not this one');
          return { results: requests.map(() => ({})) };
        },
        streamResolve: (requests, writer, context) => this.#stream(requests, writer, context),
      },
      { ...options, instants: { batchResolve: this.#begin, streamResolve: this.#begin } },
    );
    front.serve(
      WatchServiceService,
      {
        watch: async ({ tenant }, writer, context) => this.#watch(tenant, writer as never, context),
        getPosition: async ({ tenant }) => ({ revision: BigInt(tenant.length), commitId: tenant, stalenessMs: 0n }),
      },
      options,
    );
  }

  /** Answers a part of what says so, and leaves everything else to the handlers. */
  readonly #begin: Instant = (request) => {
    if (request.includes('full')) throw new DomainError('OVERLOADED', 'no room', { retryDelayMs: 1_000 });
    if (!request.includes('begin ')) return undefined;
    const [asked] = BatchResolveRequest.decode(request).requests;
    if (asked === undefined) return undefined;
    const rest = { requests: [{ ...asked, hashKey: asked.hashKey.slice('begin '.length) }] };
    this.begun++;
    return {
      rest: Buffer.from(BatchResolveRequest.encode(rest).finish()),
      complete: (response) => Buffer.concat([Buffer.from('begun, '), response]),
      release: () => void this.begun--,
    };
  };

  async #resolve(hashKey: string, context: CallContext): Promise<Buffer> {
    this.contexts.push(context);
    context.signal.addEventListener('abort', () => this.events.push(`aborted ${hashKey}`));
    if (hashKey === 'wait') await this.release.promise;
    if (hashKey === 'refuse')
      throw new DomainError('ROUTE_NOT_FOUND', 'nö such röute: 100 %', { metadata: { service: 'cart' } });
    if (hashKey === 'fault') throw new Error('a secret');
    return Buffer.from(`answer to ${hashKey.slice(0, 20)}`);
  }

  async #stream(
    requests: AsyncIterable<StreamResolveRequest>,
    writer: StreamWriter<never>,
    context: CallContext,
  ): Promise<void> {
    this.contexts.push(context);
    for await (const message of requests) {
      const [first] = message.requests;
      if (first?.hashKey === 'refuse') throw new DomainError('INVALID_FIELDS', 'not this one');
      if (first?.hashKey === 'enough') return;
      await writer.write(Buffer.from(`${message.requests.length} ${first?.hashKey.slice(0, 10)}`));
    }
    this.events.push('all said');
  }

  async #watch(tenant: string, writer: StreamWriter<never>, context: CallContext): Promise<void> {
    this.writer = writer;
    context.signal.addEventListener('abort', () => this.events.push('watch aborted'));
    const frame = (text: string): Buffer => Buffer.concat([Buffer.from([0, 0, 0, 0, text.length]), Buffer.from(text)]);
    if (tenant === 'two-pieces') {
      writer.send(frame('first').subarray(0, 7), frame('first').subarray(7));
      writer.send(frame('second'));
      return;
    }
    if (tenant === 'fast') {
      const message = Buffer.alloc(20_000, 0x61);
      for (let sent = 0; sent < 200; sent++) await writer.write(message);
      this.events.push('all written');
      return;
    }
    await new Promise<void>((resolve, reject) => {
      context.signal.addEventListener('abort', () => resolve());
      context.draining.addEventListener('abort', () =>
        reject(new DomainError('SHUTTING_DOWN', 'the server is shutting down; ask again', { retryDelayMs: 0 })),
      );
    });
  }
}
