import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';

/**
 * Lets so many through a second, of each key, with bursts of as many. Whoever asks while anything is left of the second gets all that
 * it asks for, and the key pays for what was too much in the next one: were a large request let through only where all of it is left, a
 * trickle of small ones would keep it out for ever.
 */
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
      const limiter = limiterOf(perSecond);
      const points = Math.min(count, perSecond);
      try {
        await limiter.consume(key, points);
        return undefined;
      } catch (refusal) {
        if (!(refusal instanceof RateLimiterRes)) throw refusal;
        const { consumedPoints, msBeforeNext } = refusal;
        if (consumedPoints - points >= perSecond) return Math.max(1, msBeforeNext);
        await limiter.set(key, consumedPoints, msBeforeNext / 1_000 + consumedPoints / perSecond - 1);
        return undefined;
      }
    },
  };
}
