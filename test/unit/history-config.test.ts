import { expect, test } from 'vitest';
import { readControlPlaneConfig } from '../../src/config.ts';

const required = { DATABASE_URL: 'postgres://postgres@127.0.0.1:5432/traffic_manager' };

test('changes are kept for 30 days unless something else from a day to ten years is asked for', () => {
  const days = (setting: string): number =>
    readControlPlaneConfig({ ...required, TM_CHANGE_RETENTION_DAYS: setting }).changeRetentionDays;
  expect(readControlPlaneConfig(required).changeRetentionDays).toBe(30);
  expect([days('1'), days('3650')]).toEqual([1, 3_650]);
  // Less than a day would take away what replies to request ids are rebuilt from.
  for (const wrong of ['0', '0.5', '-1', '3651', 'forever'])
    expect(() => days(wrong)).toThrow('TM_CHANGE_RETENTION_DAYS');
});
