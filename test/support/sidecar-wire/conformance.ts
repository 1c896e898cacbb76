import { expect, it } from 'vitest';
import type { ErrorName } from '../../../sidecar/wire/error-code.ts';
import { frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import { frame, plainBlock } from './frames.ts';
import { EchoAcceptor } from './echo-acceptor.ts';
import { RawPeer, requestFields, type RawPeerOptions } from './raw-peer.ts';

/** What a server must do with a case: `stream` errors are those of stream 1 unless another is given. */
export type Outcome =
  | { readonly kind: 'connection_error'; readonly code: ErrorName }
  | { readonly kind: 'stream_error'; readonly code: ErrorName; readonly streamId?: number }
  /** The connection goes on, and so many streams are answered. */
  | { readonly kind: 'answered'; readonly streamIds: readonly number[] };

export type Case = {
  /** Section and title, after the public h2spec list. */
  readonly name: string;
  readonly act: (peer: RawPeer) => void | Promise<void>;
  readonly outcome: Outcome;
  readonly options?: Omit<RawPeerOptions, 'acceptor'>;
};

export const connectionError = (code: ErrorName): Outcome => ({ kind: 'connection_error', code });
export const streamError = (code: ErrorName, streamId = 1): Outcome => ({ kind: 'stream_error', code, streamId });
export const answered = (...streamIds: readonly number[]): Outcome => ({ kind: 'answered', streamIds });

const { END_HEADERS, END_STREAM } = frameFlags;

/** HEADERS that open a stream and leave it open, for a body. */
export function open(streamId = 1, path = '/'): Buffer {
  return frame(frameTypes.HEADERS, END_HEADERS, streamId, plainBlock(requestFields(path)));
}

/** HEADERS of a whole request. */
export function whole(streamId = 1, path = '/'): Buffer {
  return frame(frameTypes.HEADERS, END_HEADERS | END_STREAM, streamId, plainBlock(requestFields(path)));
}

/** Runs each case as a test of its own. */
export function runCases(cases: readonly Case[]): void {
  it.each(cases.map((each) => [each.name, each] as const))('%s', async (_name, { act, outcome, options }) => {
    const peer = new RawPeer({ acceptor: new EchoAcceptor(), ...options });
    await act(peer);
    await expectOutcome(peer, outcome);
    peer.destroy();
  });
}

async function expectOutcome(peer: RawPeer, outcome: Outcome): Promise<void> {
  switch (outcome.kind) {
    case 'connection_error':
      await peer.untilClosed();
      expect(peer.goAway?.error).toBe(outcome.code);
      break;
    case 'stream_error': {
      const id = outcome.streamId ?? 1;
      await peer.until(() => peer.resetOf(id) !== undefined);
      expect(peer.resetOf(id)).toBe(outcome.code);
      // Only the stream is over.
      await peer.ping();
      break;
    }
    case 'answered':
      await peer.ping();
      for (const id of outcome.streamIds) {
        await peer.until((frames) => frames.some((each) => each.streamId === id && (each.flags & END_STREAM) !== 0));
        expect(peer.headersOf(id)[0]).toMatchObject({ ':status': '200' });
      }
      expect(peer.goAway).toBeUndefined();
  }
}
