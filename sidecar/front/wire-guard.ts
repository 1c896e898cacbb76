import { correlationHeader } from '../../src/platform/grpc/correlation.ts';
import type { CallGuard } from '../../src/platform/grpc/listening.ts';
import type { Guard } from '../wire/grpc/grpc-acceptor.ts';
import { percentEncode } from '../wire/grpc/percent.ts';
import { HeaderField } from '../wire/hpack/header-field.ts';

/** A guard as the engine asks it. */
export function wireGuard(guard: CallGuard): Guard {
  return (list) => {
    const refused = guard(list.path ?? '', list);
    if (refused === undefined) return undefined;
    return [
      new HeaderField('grpc-status', String(refused.code)),
      new HeaderField('grpc-message', percentEncode(refused.details)),
      new HeaderField(correlationHeader, refused.correlationId),
      new HeaderField('grpc-status-details-bin', Buffer.from(refused.statusDetails).toString('base64')),
    ];
  };
}
