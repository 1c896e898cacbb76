import type { Front, FrontKind } from './front.ts';
import { createGrpcJsFront } from './grpc-js-front.ts';
import { createWireFront, type WireFrontOptions } from './wire-front.ts';

export type CreateFrontOptions = WireFrontOptions & { readonly kind: FrontKind };

/** The front that is configured. */
export function createFront({ kind, ...options }: CreateFrontOptions): Front {
  switch (kind) {
    case 'grpc-js':
      return createGrpcJsFront(options);
    case 'wire':
      return createWireFront(options);
  }
}
