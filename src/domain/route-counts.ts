import type { Route } from './route.ts';

/** How many routes a tenant has. */
export type RouteCounts = {
  /** Answering lookups. */
  readonly active: number;
  /** Not deleted. */
  readonly kept: number;
};

export const noRoutes: RouteCounts = { active: 0, kept: 0 };

/** The counts after a route was put in the place of another, or of none. */
export function recount({ active, kept }: RouteCounts, before: Route | undefined, after: Route): RouteCounts {
  return {
    active: active + Number(isActive(after)) - Number(isActive(before)),
    kept: kept + Number(isKept(after)) - Number(isKept(before)),
  };
}

export function isActive(route: Route | undefined): boolean {
  return route?.lifecycle.state === 'ACTIVE';
}

function isKept(route: Route | undefined): boolean {
  return route !== undefined && route.lifecycle.state !== 'DELETED';
}
