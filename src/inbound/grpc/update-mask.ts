import type { Violations } from '../../domain/validation.ts';

/** The fields that an update replaces (AIP-161): those of the mask; all when it is empty or `*`. Adds what is wrong with it. */
export function updateMask(
  violations: Violations,
  paths: readonly string[] | undefined,
  fields: readonly string[],
): ReadonlySet<string> {
  if (paths === undefined || paths.length === 0 || paths.includes('*')) return new Set(fields);
  for (const path of paths) {
    if (!fields.includes(path))
      violations.add('update_mask', `${JSON.stringify(path)} is not one of ${fields.join(', ')}, *`);
  }
  return new Set(paths);
}
