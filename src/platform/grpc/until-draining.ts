/** Turns of the event loop without a message after which none is on its way any more: what had come has been read by then. */
const quietTurns = 4;
/** Taken after the server began to shut down, at most: what a full window of small messages holds. A caller that never stops ends here. */
const lateMessagesMax = 10_000;

export type DrainingOptions = {
  readonly draining: AbortSignal;
  /** What a stream ends with, so that its caller asks again elsewhere. */
  readonly shuttingDown: () => Error;
};

/**
 * The messages of a stream until the server shuts down: those that had come by then are handled in their order like all others,
 * and then it throws `shuttingDown()`.
 */
export async function* untilDraining<Message>(
  messages: AsyncIterable<Message>,
  options: DrainingOptions,
): AsyncGenerator<Message, void, void> {
  const iterator = messages[Symbol.asyncIterator]();
  for (let late = 0; late < lateMessagesMax; late += options.draining.aborted ? 1 : 0) {
    const next = await nextUnlessQuiet(iterator, options);
    if (next.done === true) return;
    yield next.value;
  }
  throw options.shuttingDown();
}

/** Not a Promise.race: each keeps 350 B on the promise that has not settled yet (measured), for as long as the stream lives. */
function nextUnlessQuiet<Message>(
  iterator: AsyncIterator<Message>,
  { draining, shuttingDown }: DrainingOptions,
): Promise<IteratorResult<Message>> {
  return new Promise((resolve, reject) => {
    const endWhenQuiet = (): void => afterTurns(quietTurns, () => reject(shuttingDown()));
    if (draining.aborted) endWhenQuiet();
    else draining.addEventListener('abort', endWhenQuiet, { once: true });
    const settled = (): void => draining.removeEventListener('abort', endWhenQuiet);
    iterator.next().then(resolve, reject).finally(settled);
  });
}

/** Calls back when the event loop has looked at its sockets so many times. */
export function afterTurns(turns: number, run: () => void): void {
  if (turns === 0) run();
  else setImmediate(afterTurns, turns - 1, run);
}
