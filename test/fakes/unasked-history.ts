import type { ChangeHistory } from '../../src/ports/change-history.ts';

const unasked = (): Promise<never> => Promise.reject(new Error('nobody asks for the past here'));

/** For tests that are about the present: a history that fails whoever asks. */
export const unaskedHistory: ChangeHistory = {
  list: unasked,
  revisionAt: unasked,
  range: unasked,
  groupAt: unasked,
  routeAt: unasked,
  routesAt: unasked,
  valuesBefore: unasked,
};
