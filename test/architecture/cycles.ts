import { resolveRelative } from './source-tree.ts';
import type { SourceFile } from './source-tree.ts';

/** Import cycles, each once, as the files on it in order; type-only imports count. */
export function findCycles(files: readonly SourceFile[]): string[][] {
  const edges = new Map(
    files.map((file) => [
      file.path,
      file.imports.flatMap((each) => resolveRelative(file.path, each.specifier) ?? []).toSorted(),
    ]),
  );
  const done = new Set<string>();
  const cycles: string[][] = [];

  // Depth-first, with the path as the stack: an edge back into the path closes a cycle. A file that is done has had all
  // of its cycles reported, and one cycle per back edge is enough to act on.
  const visit = (file: string, path: readonly string[]): void => {
    const start = path.indexOf(file);
    if (start >= 0) {
      cycles.push(path.slice(start));
      return;
    }
    if (done.has(file)) return;
    for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of edges.keys()) visit(file, []);
  return cycles;
}
