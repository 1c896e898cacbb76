import type { Metadata } from '@grpc/grpc-js';
import type { Front } from '../../sidecar/front/front.ts';
import { insideHeader } from '../../sidecar/front/inside-guard.ts';
import { DomainError } from '../../src/domain/domain-error.ts';
import type { AnswerPlace, CallContext, Handlers } from '../../src/platform/grpc/handlers.ts';
import { bindService } from '../../src/platform/grpc/service.ts';
import { answerAtOnce } from '../support/answer-at-once.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { serviceOptions } from '../../src/serving/service-options.ts';

const same = (bytes: Buffer): Buffer => bytes;

function method<Requests extends boolean, Responses extends boolean>(
  path: string,
  requestStream: Requests,
  responseStream: Responses,
) {
  return {
    path,
    requestStream,
    responseStream,
    requestDeserialize: same,
    requestSerialize: same,
    responseDeserialize: same,
    responseSerialize: same,
  };
}

function serviceOf(name: string) {
  return {
    echo: method(`/test.${name}/Echo`, false, false),
    instant: method(`/test.${name}/Instant`, false, false),
    tell: method(`/test.${name}/Tell`, false, false),
    wait: method(`/test.${name}/Wait`, false, false),
    repeat: method(`/test.${name}/Repeat`, false, true),
    each: method(`/test.${name}/Each`, true, true),
    eachInstant: method(`/test.${name}/EachInstant`, true, true),
  };
}

/** Served by the front itself, and by the library behind it: an engine of our own passes those calls on. */
const frontService = serviceOf('Front');
const passedService = serviceOf('Passed');

/** Services whose messages are any bytes, and that tell what they saw of a call. */
export class EchoServices {
  /** Calls of `Wait` whose caller waits still. */
  waiting = 0;

  serve(front: Front): void {
    const options = {
      ...serviceOptions({ logger: createLogger('test', 'silent'), draining: front.draining }),
      decode: (deserialize: (bytes: Buffer) => unknown, bytes: Buffer): unknown => deserialize(bytes),
      instants: { instant: instantly, eachInstant: instantly },
    };
    front.serve(frontService, this.#handlers, options);
    const { definition, implementation } = bindService(passedService, this.#handlers, options);
    front.library.addService(definition, implementation);
  }

  readonly #handlers: Handlers<typeof frontService> = {
    echo: async (message) => answerTo(message),
    instant: async (message) => answerTo(message),
    tell: async (message, context) => Buffer.from(JSON.stringify(seen(message, context))),
    wait: (message, context) => this.#wait(message, context),
    /** As often as its first byte says; a second one ends it with a refusal. */
    repeat: async (message, writer) => {
      for (let count = message[0] ?? 0; count > 0; count--) await writer.write(message);
      if (message.length > 1) throw refusal();
    },
    each: async (messages, writer) => {
      for await (const message of messages) await writer.write(answerTo(message));
    },
    eachInstant: async (messages, writer) => {
      for await (const message of messages) await writer.write(answerTo(message));
    },
  };

  #wait(message: Buffer, { signal }: CallContext): Promise<Buffer> {
    this.waiting++;
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        this.waiting--;
        resolve(message);
      });
    });
  }
}

function instantly(message: Buffer, place: AnswerPlace): 'answered' | undefined {
  return message.includes('slow') ? undefined : answerAtOnce(place, answerTo(message));
}

function answerTo(message: Buffer): Buffer {
  if (message.includes('refuse')) throw refusal();
  if (message.includes('fault')) throw new Error('a secret');
  return message;
}

function refusal(): DomainError {
  return new DomainError('ROUTE_NOT_FOUND', 'nö such röute: 100 %', { metadata: { service: 'cart' } });
}

function seen(message: Buffer, { metadata, deadlineMs }: CallContext): unknown {
  return { message: message.toString('hex'), metadata: entriesOf(metadata), hasDeadline: deadlineMs !== undefined };
}

/** By name: an order between different names is nobody's promise. What the front adds on the way inside is not the caller's. */
function entriesOf(metadata: Metadata): unknown {
  return Object.entries(metadata.toJSON())
    .filter(([name]) => name !== insideHeader)
    .map(([name, values]) => [name, values.map((value) => (Buffer.isBuffer(value) ? value.toString('hex') : value))])
    .toSorted(([one], [other]) => (String(one) < String(other) ? -1 : 1));
}
