import { limits } from './limits.ts';
import type { Violations } from './validation.ts';

/** One branch of a weighted split. */
export type WeightedVersion = { readonly version: string; readonly weight: number };

/** Adds everything that is wrong with a split; an empty one is none. */
export function validateSplit(violations: Violations, field: string, split: readonly WeightedVersion[]): void {
  if (split.length > limits.splitBranchesMax)
    return violations.add(field, `has more than ${limits.splitBranchesMax} branches`);
  const seen = new Set<string>();
  for (const [index, branch] of split.entries()) {
    violations.version(`${field}[${index}].version`, branch.version);
    violations.integer(`${field}[${index}].weight`, branch.weight, { min: 0, max: limits.splitWeightMax });
    if (seen.has(branch.version)) violations.add(`${field}[${index}].version`, 'stands twice in this split');
    seen.add(branch.version);
  }
  if (split.length > 0 && !split.some(({ weight }) => weight > 0)) violations.add(field, 'has weights that sum to 0');
}
