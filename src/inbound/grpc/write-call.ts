import type { Admission } from '../../app/admission.ts';
import type { WriteOutcome, WriteResult } from '../../app/write-request.ts';
import type { Writer } from '../../app/writer.ts';
import { limits } from '../../domain/limits.ts';
import type { Mutation } from '../../domain/mutation.ts';
import type { ShrinkProtection } from '../../domain/transaction.ts';
import type { Violations } from '../../domain/validation.ts';
import type { Change as WireChange } from '../../gen/trafficmanager/v1/change.ts';
import type { CallContext } from '../../platform/grpc/handlers.ts';
import { changeToWire } from '../../wire/change-wire.ts';

const requestIdPattern = /^[\u0021-\u007E]{1,128}$/;
const actorPattern = /^[\u0020-\u007E]{1,128}$/;

/** What every mutating call has. */
export type WriteCall = {
  readonly tenant: string;
  readonly mutations: readonly Mutation[];
  /** The mutations are a list that the caller made, and a refusal says which of them it is about. */
  readonly isBatch?: boolean;
  readonly requestId: string;
  readonly validateOnly: boolean;
  /** Of calls that shrink protection is about: true switches it off. Undefined: a single write, which it is not about. */
  readonly force?: boolean;
  /** An administrator's: not counted against the tenant's quotas, or a tenant that may write nothing could never be let write again. */
  readonly byAdministrator?: boolean;
  /** The mutations restore the tenant as it was, and were worked out on this revision. */
  readonly restoresFrom?: number;
  /** What was asked for, where the mutations do not tell: equal for repetitions of a request. */
  readonly question?: readonly unknown[];
};

/** Carries out a mutating call on behalf of its caller. */
export type Write = (call: WriteCall, context: CallContext) => Promise<WriteResult>;

/** What a mutating call was answered the first time; undefined: it is no repetition. */
export type FirstReply = (call: WriteCall) => Promise<WriteResult | undefined>;

/** Adds what is wrong with a request id; '' is none. */
export function validateRequestId(violations: Violations, requestId: string): void {
  if (requestId !== '' && !requestIdPattern.test(requestId)) {
    violations.add('request_id', `must be 1 to ${limits.requestIdLengthMax} printable ASCII characters without spaces`);
  }
}

export type WriteOptions = {
  readonly writer: Writer;
  readonly admission: Admission;
  /** A random id for each transaction. */
  readonly newCommitId: () => string;
  readonly shrinkProtection: ShrinkProtection;
};

/** How handlers carry mutating calls out, and find those that were carried out before. */
export function createWrites(options: WriteOptions): { readonly write: Write; readonly firstReply: FirstReply } {
  const { writer, admission, newCommitId, shrinkProtection } = options;
  return {
    write: async (call, context) => {
      const { tenant, mutations, requestId, validateOnly } = call;
      if (call.byAdministrator !== true) await admission.admitWrites(tenant, mutations.length);
      return writer.write({
        transaction: {
          tenant,
          mutations,
          isBatch: call.isBatch ?? false,
          commitId: newCommitId(),
          actor: actorOf(context),
          correlationId: context.correlationId,
          shrinkProtection: call.force === false ? shrinkProtection : { kind: 'forced' },
          restoresFrom: call.restoresFrom,
        },
        requestId,
        validateOnly,
        question: questionOf(call),
        signal: context.signal,
      });
    },

    firstReply: async (call) => {
      const { tenant, mutations, requestId, validateOnly, restoresFrom } = call;
      const transaction = { tenant, mutations, restoresFrom };
      return writer.firstReply({ transaction, requestId, validateOnly, question: questionOf(call) });
    },
  };
}

function questionOf({ tenant, mutations, question }: WriteCall): readonly unknown[] {
  return question ?? [tenant, mutations];
}

/** Who calls: what the caller says of itself (`x-actor`), until there are credentials to believe. */
function actorOf({ metadata }: CallContext): string {
  const given = metadata.get('x-actor')[0];
  return typeof given === 'string' && actorPattern.test(given) ? given : 'anonymous';
}

/** The answer to a call with one mutation: the outcome, and what all replies carry. */
export function singleOutcome(result: WriteResult): {
  outcome: WriteOutcome;
  revision: bigint;
  change: WireChange | undefined;
} {
  const [outcome] = result.outcomes;
  if (outcome === undefined) throw new Error('a mutation without an outcome');
  return { outcome, revision: BigInt(result.revision), change: outcome.change && changeToWire(outcome.change) };
}
