import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { userAgent } from '../../src/client/user-agent.ts';

it('names the version of the package', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  expect(userAgent).toBe(`grpc-node-traffic-manager/${version}`);
});
