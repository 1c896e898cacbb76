import { expect, test } from 'vitest';
import { Bulkhead, FullError } from '../../../sidecar/guard/bulkhead.ts';

/** Calls through a bulkhead that end when the test says so; `begun` are their names, in the order of their beginning. */
function start(options: ConstructorParameters<typeof Bulkhead>[0]) {
  const bulkhead = new Bulkhead(options);
  const begun: string[] = [];
  const ends = new Map<string, PromiseWithResolvers<string>>();
  const call = (name: string, signal: AbortSignal = new AbortController().signal): Promise<string> => {
    const end = Promise.withResolvers<string>();
    ends.set(name, end);
    return bulkhead.run(() => {
      begun.push(name);
      return end.promise;
    }, signal);
  };
  const endOf = (name: string): PromiseWithResolvers<string> => {
    const end = ends.get(name);
    if (end === undefined) throw new Error(`${name} was called`);
    return end;
  };
  return { call, begun, endOf };
}

/** Lets everything go on that waits for nothing but its turn. */
function everybodysTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('so many calls go on at a time; the next ones follow in order, as places become free', async () => {
  const { call, begun, endOf } = start({ concurrentMax: 2, waitingMax: 10 });
  const calls = ['a', 'b', 'c', 'd'].map((name) => call(name));
  await everybodysTurn();
  expect(begun).toEqual(['a', 'b']);
  endOf('b').resolve('b is done');
  expect(await calls[1]).toBe('b is done');
  await everybodysTurn();
  expect(begun).toEqual(['a', 'b', 'c']);
  // A failure gives its place back too.
  endOf('a').reject(new Error('a failed'));
  await expect(calls[0]).rejects.toThrow('a failed');
  await everybodysTurn();
  expect(begun).toEqual(['a', 'b', 'c', 'd']);
});

test('what does not fit in the waiting room is refused at once, and costs nobody a place', async () => {
  const { call, begun, endOf } = start({ concurrentMax: 1, waitingMax: 1 });
  const first = call('first');
  const second = call('second');
  await expect(call('third')).rejects.toBeInstanceOf(FullError);
  endOf('first').resolve('');
  await first;
  endOf('second').resolve('');
  await second;
  expect(begun).toEqual(['first', 'second']);
  const fourth = call('fourth');
  endOf('fourth').resolve('fine');
  expect(await fourth).toBe('fine');
});

test('one that gives up while it waits is never made, and leaves its place in the queue', async () => {
  const { call, begun, endOf } = start({ concurrentMax: 1, waitingMax: 1 });
  const first = call('first');
  const leaving = new AbortController();
  const second = call('second', leaving.signal);
  const reason = new Error('the caller went away');
  leaving.abort(reason);
  await expect(second).rejects.toBe(reason);
  const third = call('third');
  endOf('first').resolve('');
  await first;
  await everybodysTurn();
  expect(begun).toEqual(['first', 'third']);
  endOf('third').resolve('');
  await third;
});

test('one that has given up already is not made', async () => {
  const { call, begun } = start({ concurrentMax: 1, waitingMax: 1 });
  await expect(call('late', AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late');
  expect(begun).toEqual([]);
});
