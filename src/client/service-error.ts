import type { ServiceError } from '@grpc/grpc-js';
import { errorFromCall } from './decode-error.ts';
import type { TrafficManagerError } from './traffic-manager-error.ts';

/** What a call that grpc-js failed throws. */
export function errorFromServiceError(error: ServiceError, correlationId: string | undefined): TrafficManagerError {
  const { code, details: message, metadata } = error;
  return errorFromCall({ code, message, trailer: (name) => metadata.get(name)[0], cause: error }, correlationId);
}
