import { digest64 } from '../../domain/digest.ts';
import { limits } from '../../domain/limits.ts';
import type { Violations } from '../../domain/validation.ts';

/** Names and versions. Whoever forges a token gets no further than that: Postgres does not take every text. */
const partPattern = /^[-.A-Za-z0-9]*$/;

/** Opaque page tokens (AIP-158): where to go on, bound to the question, so that a token cannot be used with another one. */
export function encodePageToken(question: readonly unknown[], after: readonly string[]): string {
  return Buffer.from(JSON.stringify([digest64(JSON.stringify(question)), ...after])).toString('base64url');
}

/** Where a page begins; undefined: at the start. Adds what is wrong with the token. */
export function decodePageToken(
  violations: Violations,
  token: string,
  { question, parts }: { question: readonly unknown[]; parts: number },
): string[] | undefined {
  if (token === '') return undefined;
  try {
    const decoded: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
    if (Array.isArray(decoded) && decoded.length === parts + 1 && decoded.every((part) => typeof part === 'string')) {
      const [fingerprint, ...after] = decoded;
      if (fingerprint === digest64(JSON.stringify(question)) && after.every((part) => partPattern.test(part)))
        return after;
    }
  } catch {
    // Not ours: said below.
  }
  violations.add('page_token', 'is not a token of the page before, or the request has changed since');
  return undefined;
}

/** A part of a token that is a revision; undefined: there is no token. Adds what is wrong, should somebody have made it up. */
export function revisionOfToken(
  violations: Violations,
  token: readonly string[] | undefined,
  part: number,
): number | undefined {
  if (token === undefined) return undefined;
  const revision = Number(token[part]);
  if (!Number.isSafeInteger(revision) || revision < 1)
    violations.add('page_token', 'is not a token of the page before');
  return revision;
}

/** Items a page; adds what is wrong. */
export function pageSize(violations: Violations, size: number): number {
  if (size < 0) violations.add('page_size', 'must not be negative');
  return size === 0 ? limits.pageSizeDefault : Math.min(size, limits.pageSizeMax);
}
