import { ErrorCode, NatsError, type NatsConnection } from 'nats';
import { askSubject, metaSubject, streamName } from '../../src/wire/stream-subjects.ts';
import { natsSourceLimits } from '../limits.ts';
import { relayAnswerFrom, streamHeadFrom, type RelayAnswer, type StreamHead } from './nats-stream-messages.ts';

const timeout = natsSourceLimits.requestMsMax;

/** Asks the relay where a tenant is; undefined: nobody answers in time. */
export async function askRelay(
  connection: NatsConnection,
  tenant: string,
  timeoutMs: number,
): Promise<RelayAnswer | undefined> {
  try {
    const { data } = await connection.request(askSubject(tenant), undefined, { timeout: timeoutMs });
    return relayAnswerFrom(data);
  } catch (error) {
    if (hasCode(error, ErrorCode.NoResponders, ErrorCode.Timeout)) return undefined;
    throw error;
  }
}

/** What a tenant's stream says of where it is; undefined: there is no stream, or it does not say. Rejects when it cannot be asked. */
export async function readStreamHead(connection: NatsConnection, tenant: string): Promise<StreamHead | undefined> {
  const subject = `$JS.API.DIRECT.GET.${streamName(tenant)}.${metaSubject(tenant)}`;
  try {
    const { data, headers } = await connection.request(subject, undefined, { timeout });
    const sequence = Number(headers?.get('Nats-Sequence') ?? '');
    // Without a message it answers with a status and no sequence.
    return sequence > 0 ? streamHeadFrom(data, sequence) : undefined;
  } catch (error) {
    if (hasCode(error, ErrorCode.NoResponders)) return undefined;
    throw error;
  }
}

function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof NatsError && codes.includes(error.code);
}

/** JetStream refused something: its own code and words. */
export class JetStreamError extends Error {
  readonly code: number;

  constructor(code: number, description: string) {
    super(`JetStream refuses: ${description} (${code})`);
    this.code = code;
  }
}

/** A request to JetStream's API; rejects with a JetStreamError when it is refused. */
export async function requestJetStream(connection: NatsConnection, subject: string, body: object): Promise<object> {
  const answer = (await connection.request(`$JS.API.${subject}`, JSON.stringify(body), { timeout })).json<{
    readonly error?: { readonly err_code?: number; readonly code?: number; readonly description?: string };
  }>();
  if (answer.error === undefined) return answer;
  const { err_code: errorCode, code, description } = answer.error;
  throw new JetStreamError(errorCode ?? code ?? 0, description ?? 'without a reason');
}
