import { expect, test } from 'vitest';
import { BatchResolveRequest, ResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import type { AnswerSource } from '../../../src/serving/answer-source.ts';
import { BatchRoom } from '../../../src/serving/batch-room.ts';
import { beginBatch } from '../../../src/serving/begin-batch.ts';
import { resolverLimits } from '../../../src/serving/limits.ts';
import { exampleKey } from '../../fakes/example-configuration.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const answerBytes = 8 * 1024 * 1024;
/** Answers each first lookup. */
const source: AnswerSource = {
  find: (_request, start) => (start <= 3 ? answerBytes : -1),
  write: () => {},
  freshness: { source: 'SNAPSHOT', revision: 1, stalenessMs: 0, stale: false },
};
const lookup = { ...ResolveRequest.decode(new Uint8Array()), key: exampleKey('v1') };
const request = Buffer.from(BatchResolveRequest.encode({ requests: [lookup, lookup] }).finish());

test('no batch is begun that there is no room for, until others have let go of theirs', () => {
  const options = { clock: new FakeClock(), room: new BatchRoom() };
  const fitting = Math.floor(resolverLimits.waitingAnswerBytesMax / (answerBytes + resolverLimits.waitingAnswerBytes));
  const begun = Array.from({ length: fitting }, () => beginBatch(source, request, options));
  expect(begun).not.toContain(undefined);
  const refused = expect.objectContaining({ reason: 'OVERLOADED', retryDelayMs: 1_000 }) as unknown;
  expect(() => beginBatch(source, request, options)).toThrow(refused);
  begun[0]?.release();
  // Twice is once.
  begun[0]?.release();
  expect(beginBatch(source, request, options)).toBeDefined();
  expect(() => beginBatch(source, request, options)).toThrow(refused);
});
