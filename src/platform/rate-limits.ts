import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';

/** Lets so many through a second, of each key, with bursts of as many. */
export interface RateLimits {
  /** Milliseconds until it is worth trying again; undefined: let through. More than a second's worth counts as a second's worth. */
  consume(key: string, options: { readonly count: number; readonly perSecond: number }): Promise<number | undefined>;
}

/** Rates of this process. Keys are forgotten a second after their last use; the limiter of a rate serves all keys that have it. */
export function createRateLimits(): RateLimits {
  const limiters = new Map<number, RateLimiterMemory>();
  const limiterOf = (perSecond: number): RateLimiterMemory => {
    let limiter = limiters.get(perSecond);
    if (limiter === undefined)
      limiters.set(perSecond, (limiter = new RateLimiterMemory({ points: perSecond, duration: 1 })));
    return limiter;
  };
  return {
    consume: async (key, { count, perSecond }) => {
      if (perSecond === 0) return 60_000;
      try {
        await limiterOf(perSecond).consume(key, Math.min(count, perSecond));
        return undefined;
      } catch (refusal) {
        if (refusal instanceof RateLimiterRes) return Math.max(1, refusal.msBeforeNext);
        throw refusal;
      }
    },
  };
}
