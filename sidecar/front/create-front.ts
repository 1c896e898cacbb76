import type { Front, FrontKind } from './front.ts';
import { createGrpcJsFront } from './grpc-js-front.ts';
import type { WireFrontOptions } from './wire-front.ts';

export type CreateFrontOptions = WireFrontOptions & { readonly kind: FrontKind };

/** The front that is configured. Our own engine is loaded when it is asked for (decision 0013): grpc-js is there anyway, for calls to the control plane. */
export async function createFront({ kind, ...options }: CreateFrontOptions): Promise<Front> {
  switch (kind) {
    case 'grpc-js':
      return createGrpcJsFront(options);
    case 'wire': {
      const { createWireFront } = await import('./wire-front.ts');
      return createWireFront(options);
    }
  }
}
