import { randomBytes } from 'node:crypto';

/** Chance as an argument: programs pass {@link systemRandom}, tests a seeded one. */
export type Random = () => number;

export const systemRandom: Random = Math.random;

/** A new id, 16 hexadecimal digits (64 random bits). */
export function newId(): string {
  return randomBytes(8).toString('hex');
}
