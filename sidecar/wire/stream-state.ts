/**
 * States of a stream that has been opened: RFC 9113 §5.1. Idle and closed streams have no object; reserved ones are those of
 * pushes, which we refuse.
 */
export type StreamState = 'open' | 'half_closed_local' | 'half_closed_remote' | 'closed';

/** END_STREAM sent, END_STREAM received, or RST_STREAM either way. */
export type StreamEvent = 'ended_local' | 'ended_remote' | 'reset';

export function nextState(state: StreamState, event: StreamEvent): StreamState {
  switch (event) {
    case 'reset':
      return 'closed';
    case 'ended_local':
      return state === 'open' ? 'half_closed_local' : 'closed';
    case 'ended_remote':
      return state === 'open' ? 'half_closed_remote' : 'closed';
  }
}

/** Whether we may still send on it. */
export function maySend(state: StreamState): boolean {
  return state === 'open' || state === 'half_closed_remote';
}

/** Whether the peer may still send on it. */
export function mayReceive(state: StreamState): boolean {
  return state === 'open' || state === 'half_closed_local';
}
