import { DomainError } from '../../domain/domain-error.ts';
import type { CallContext } from '../../platform/grpc/handlers.ts';
import { secretMatcher } from '../../platform/secret-matcher.ts';

/** Throws CREDENTIAL_REQUIRED or PERMISSION_DENIED unless an administrator calls. */
export type RequireAdministrator = (context: CallContext) => void;

/** Administrators carry `authorization: Bearer <token>`. Without a token everybody who reaches the port is one: for loopback and tests. */
export function administratorBy(token: string | undefined): RequireAdministrator {
  if (token === undefined) return () => {};
  const isTheirs = secretMatcher(`Bearer ${token}`);
  return ({ metadata }) => {
    const given = metadata.get('authorization')[0];
    if (typeof given !== 'string')
      throw new DomainError(
        'CREDENTIAL_REQUIRED',
        'this is for administrators: send their token as authorization: Bearer',
      );
    if (!isTheirs(given))
      throw new DomainError('PERMISSION_DENIED', 'this is for administrators, and the token is not theirs');
  };
}
