import type { HeldSnapshot } from '../../sidecar/snapshot/tenant-memory.ts';
import type { ChangeSink } from '../../sidecar/sync/change-source.ts';

/** The part of a sink that hears of snapshots, each with all of its parts. */
export function wholeSnapshots(
  heard: (snapshot: HeldSnapshot, stalenessMs: number | undefined) => void,
): Pick<ChangeSink, 'part' | 'snapshot'> {
  let routes: HeldSnapshot['routes'] = [];
  let policies: HeldSnapshot['policies'] = [];
  return {
    part: (part) => {
      routes = [...routes, ...part.routes];
      policies = [...policies, ...part.policies];
    },
    snapshot: (last, stalenessMs) => {
      const whole = { routes: [...routes, ...last.routes], policies: [...policies, ...last.policies] };
      routes = [];
      policies = [];
      heard({ position: last.position, ...whole }, stalenessMs);
    },
  };
}
