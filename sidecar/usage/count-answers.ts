import { isPast } from '../../src/domain/freshness.ts';
import type { Resolver } from '../../src/serving/resolver-service.ts';
import type { LookupUsage } from './lookup-usage.ts';

/** A resolver whose answers are counted, but for those about the past: looking at history is no use of a version. */
export function countAnswers(resolver: Resolver, usage: LookupUsage): Resolver {
  return {
    resolve: async (lookup, consistency, context) => {
      const answer = await resolver.resolve(lookup, consistency, context);
      if (!isPast(consistency)) usage.count(lookup, answer.resolution.route.key.version);
      return answer;
    },
  };
}
