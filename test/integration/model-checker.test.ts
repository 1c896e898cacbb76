import { expect, inject, test } from 'vitest';
import type { Change } from '../../src/client/index.ts';
import type { Run } from '../support/model/check-run.ts';
import { runCalmly } from '../support/model/calm-run.ts';
import type { Call } from '../support/model/operation.ts';
import { TenantLog } from '../support/model/tenant-log.ts';

// A checker that finds nothing must be able to find something: each test spoils a run that is right, and wants it to be told.

type Spoil = (run: Spoiled, log: TenantLog) => void;
type Spoiled = Run & { readonly calls: Call[] };
type Acknowledged = Call & { result: { reply: { changes: readonly Change[] } } };

/** An acknowledged write of one route, the last that did something. */
function lastWrite({ calls }: Spoiled, tenant: string): Acknowledged {
  const call = calls.findLast(
    ({ operation, result }) =>
      operation.kind === 'write' &&
      operation.tenant === tenant &&
      !operation.validateOnly &&
      operation.work.kind === 'single' &&
      result.kind === 'reply' &&
      result.reply.changes.length === 1,
  );
  if (call === undefined) throw new Error('there is one');
  return call as unknown as Acknowledged;
}

const spoils: Readonly<Record<string, { readonly spoil: Spoil; readonly told: RegExp }>> = {
  'an acknowledged write that is not in the log': {
    spoil: (run, { tenant }) => {
      const { operation } = lastWrite(run, tenant);
      Object.assign(operation, { id: 'lost' });
    },
    told: /nobody asked for|not there|must be refused|answered as of/,
  },
  'a write that was acknowledged with another change': {
    spoil: (run, { tenant }) => {
      const { result } = lastWrite(run, tenant);
      result.reply.changes = result.reply.changes.map((change) => ({ ...change, actor: 'somebody else' }));
    },
    told: /deepEqual|deep-equal|deeply equal|strictly/i,
  },
  'a refusal for which there was no reason': {
    spoil: (run, { tenant }) => {
      const refused = run.calls.find(
        ({ operation, result }) =>
          operation.tenant === tenant &&
          operation.kind === 'write' &&
          !operation.reusesRequestId &&
          result.kind === 'refused',
      );
      if (refused?.result.kind !== 'refused') throw new Error('there is one');
      Object.assign(refused.result.error, { reason: 'QUOTA_EXCEEDED' });
    },
    told: /QUOTA_EXCEEDED .* is right for no revision/,
  },
  'a read of what was overwritten before it began': {
    spoil: (run, { tenant, head }) => {
      const read = run.calls.find(
        ({ operation, result }) =>
          operation.tenant === tenant &&
          operation.kind === 'read' &&
          operation.what.kind === 'list_routes' &&
          operation.what.atRevision === undefined &&
          result.kind === 'reply',
      );
      if (read === undefined) throw new Error('there is one');
      Object.assign(read, { knownRevision: head });
    },
    told: /no revision in \d+\.\.\d+ explains the answer/,
  },
  'a watcher that missed a message': {
    spoil: ({ watches }, { tenant }) => {
      const { messages } = firstStream(watches, tenant);
      const missed = messages.findIndex(({ event }) => event?.$case === 'changeBatch');
      messages.splice(missed, 1);
    },
    told: /watch 0 of \w+: what came after|watch \d+ of \w+: progress past/,
  },
  'a watcher that was told something twice': {
    spoil: ({ watches }, { tenant }) => {
      const { messages } = firstStream(watches, tenant);
      const twice = messages.findIndex(({ event }) => event?.$case === 'changeBatch');
      messages.splice(twice, 0, messages[twice]!);
    },
    told: /watch \d+ of \w+: what came after/,
  },
};

function firstStream(watches: Run['watches'], tenant: string) {
  const stream = watches.find(({ options }) => options.tenant === tenant && options.after === 0n)?.streams[0];
  if (stream === undefined) throw new Error('there is one');
  return stream;
}

test.each(Object.entries(spoils))('the check tells of %s', async (_, { spoil, told }) => {
  const { violations } = await runCalmly({
    adminUrl: inject('postgresUrl'),
    seed: 1,
    operations: 150,
    beforeCheck: (run, logs) => spoil(run as Spoiled, logs.get('red')!),
  });
  expect(violations.length).toBeGreaterThan(0);
  expect(violations.join('\n')).toMatch(told);
});

test('a log with a gap, half a commit or a change on top of something else is refused', async () => {
  let changes: readonly Change[] = [];
  await runCalmly({
    adminUrl: inject('postgresUrl'),
    seed: 2,
    operations: 150,
    beforeCheck: (_, logs) => (changes = logs.get('red')?.changes ?? []),
  });
  const logOf = (spoiled: readonly Change[]) => () => new TenantLog('red', spoiled);
  expect(logOf(changes)).not.toThrow();
  expect(logOf(changes.filter((_, index) => index !== 5))).toThrow(/gap-free/);
  const inBatch = changes.findIndex(({ revision, commitRevision }) => commitRevision > revision);
  expect(logOf(changes.slice(0, inBatch + 1))).toThrow(/half there/);
  const changed = changes.findIndex(
    ({ resource }) => resource?.$case === 'route' && resource.value.before !== undefined,
  );
  const onOther = changes.with(changed, { ...changes[changed]!, resource: changes[1]!.resource });
  expect(logOf(onOther)).toThrow();
});
