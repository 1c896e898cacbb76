import type { ChangeSink, ChangeSource, SourceEnd } from '../../sidecar/sync/change-source.ts';
import type { Position } from '../../src/domain/change.ts';

/** One tenant being followed: the test plays the source. What the sink throws ends it, as it ends a real one. */
export type Following = {
  readonly tenant: string;
  /** Where it was asked to resume; undefined: from a snapshot. */
  readonly after: Position | undefined;
  /** Whether the follower is still there. */
  readonly isFollowed: () => boolean;
  tell(telling: (sink: ChangeSink) => void): void;
  end(kind: SourceEnd['kind']): void;
};

/** A source of changes that does nothing by itself. It runs the port's contract suite, as every source does. */
export class SidecarScriptedSource implements ChangeSource {
  /** Every call of `follow` so far. */
  readonly followings: Following[] = [];
  #waiting: (() => void)[] = [];

  follow(tenant: string, after: Position | undefined, sink: ChangeSink, signal: AbortSignal): Promise<SourceEnd> {
    const { promise, resolve } = Promise.withResolvers<SourceEnd>();
    let ended = false;
    const end = (reason: SourceEnd): void => {
      ended = true;
      resolve(reason);
    };
    const abandon = (): void => end({ kind: 'disconnected', error: new Error('abandoned') });
    if (signal.aborted) abandon();
    signal.addEventListener('abort', abandon, { once: true });
    this.followings.push({
      tenant,
      after,
      isFollowed: () => !ended,
      tell: (telling) => {
        if (ended) return;
        try {
          telling(sink);
        } catch (error) {
          end({ kind: 'disconnected', error });
        }
      },
      end: (kind) => end({ kind, error: new Error(`scripted: ${kind}`) }),
    });
    for (const wake of this.#waiting.splice(0)) wake();
    return promise;
  }

  /** The `count`th call of `follow`, counted from 1; waits for it. */
  async following(count: number): Promise<Following> {
    for (;;) {
      const found = this.followings[count - 1];
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}
