import { spawnSync } from 'node:child_process';

/** The sidecar as the image runs it. */
export const builtSidecar = 'dist/sidecar/main.js';

/** Builds it from the sources as they are. */
export function buildSidecar(): void {
  const { status, stderr } = spawnSync('npm', ['run', 'build'], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`npm run build failed: ${stderr}`);
}
