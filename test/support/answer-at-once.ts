import type { AnswerPlace } from '../../src/platform/grpc/handlers.ts';

/** What an instant does that has its answer as bytes. */
export function answerAtOnce(place: AnswerPlace, message: Uint8Array): 'answered' {
  place.reserve(message.length);
  place.target.set(message, place.at);
  return 'answered';
}
