import { Metadata, type CallOptions } from '@grpc/grpc-js';
import type { CallTerms } from './channel.ts';

/** What grpc-js is told of a call. */
export function grpcJsTerms(terms: CallTerms): { readonly metadata: Metadata; readonly options: CallOptions } {
  const metadata = new Metadata();
  for (const [name, value] of terms.metadata) metadata.set(name, value);
  const { deadlineMs } = terms;
  return { metadata, options: deadlineMs === undefined ? {} : { deadline: deadlineMs } };
}
