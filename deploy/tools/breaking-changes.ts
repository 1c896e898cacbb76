import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repository, requireCommand, runCommand } from './run-command.ts';

/** What the protos are compared with. Before the first release nobody holds us to anything, so a break is only told. */
export type Baseline =
  | { readonly kind: 'release'; readonly reference: string }
  | { readonly kind: 'commit'; readonly reference: string }
  | { readonly kind: 'none'; readonly reason: string };

/** buf's exit code for breaks. */
const breaksFound = 100;

/** The last release that this commit descends from (`v*`); else the last commit. */
export async function findBaseline(root: string = repository): Promise<Baseline> {
  const release = await runCommand(['git', 'describe', '--tags', '--match', 'v[0-9]*', '--abbrev=0'], { cwd: root });
  if (release.code === 0) return { kind: 'release', reference: release.output.trim() };
  const commit = await runCommand(['git', 'rev-parse', '--short', 'HEAD'], { cwd: root });
  if (commit.code === 0) return { kind: 'commit', reference: commit.output.trim() };
  return { kind: 'none', reason: 'no git history here' };
}

/** What buf calls a break between the protos at a git reference and the ones in the working tree; empty when nothing is. */
export async function findBreaks(reference: string, root: string = repository): Promise<string> {
  const before = await mkdtemp(join(tmpdir(), 'tm-breaking-'));
  try {
    const archive = join(before, 'before.tar');
    const tree = join(before, 'tree');
    await mkdir(tree);
    await requireCommand(['git', 'archive', '--output', archive, reference, 'buf.yaml', 'proto'], { cwd: root });
    await requireCommand(['tar', '-xf', archive, '-C', tree]);
    // A proto that does not compile ends with the same code as a break, so that is found out first.
    await requireCommand(['buf', 'build'], { cwd: root });
    const { code, output } = await runCommand(['buf', 'breaking', '--against', tree], { cwd: root });
    if (code === 0) return '';
    if (code === breaksFound) return output;
    throw new Error(`buf breaking ended with ${code}:\n${output}`);
  } finally {
    await rm(before, { recursive: true });
  }
}
