import { limits } from './limits.ts';

/** Whom to watch, and how. */
export interface ParentWatchOptions {
  /** Answers the pid of our parent as it is now: another one once it has died. */
  readonly readParentPid: () => number;
  /** Called once, when it has died. */
  readonly onDeath: () => void;
}

/**
 * Watches the process that started us. For a run by npm only: whoever kills npm, or the shell between, means the product,
 * and neither tells us (npm passes signals to the shell, which dies of them alone). A run without npm may outlive its
 * terminal, as `nohup` and service managers want.
 */
export function watchParent(options: ParentWatchOptions): void {
  const parent = options.readParentPid();
  const timer = setInterval(() => {
    if (options.readParentPid() === parent) return;
    clearInterval(timer);
    options.onDeath();
  }, limits.parentWatchMs);
  timer.unref();
}
