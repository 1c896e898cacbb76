import { DomainError } from '../../src/domain/domain-error.ts';
import { correlationHeader, givenCorrelationId, newCorrelationId } from '../../src/platform/grpc/correlation.ts';
import type { CallGuard } from '../../src/platform/grpc/listening.ts';
import type { ServiceOptions } from '../../src/platform/grpc/service.ts';
import { secretMatcher } from '../../src/platform/secret-matcher.ts';

/** Probes have no token, and it says nothing but whether the sidecar is ready. */
const openService = '/grpc.health.v1.Health/';

/** Lets calls pass that carry `authorization: Bearer <token>`, and all of `grpc.health.v1`. */
export function tokenGuard(token: string, { statusOf }: Pick<ServiceOptions, 'statusOf'>): CallGuard {
  const isRight = secretMatcher(`Bearer ${token}`);
  return (path, headers) => {
    if (path.startsWith(openService)) return undefined;
    const given = headers.get('authorization');
    if (given !== undefined && isRight(given)) return undefined;
    const correlationId = givenCorrelationId(headers.get(correlationHeader)) ?? newCorrelationId();
    const message =
      given === undefined
        ? 'this sidecar asks for a token: send it as authorization: Bearer'
        : 'the token is not that of this sidecar';
    const error = new DomainError('CREDENTIAL_REQUIRED', message);
    return { ...statusOf(error, { method: path, correlationId }), correlationId };
  };
}
