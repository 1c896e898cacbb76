/**
 * How Node runs a sidecar, as variables: the same in `npm start`, `npm run sidecar`, compose.yaml and k8s/app-with-sidecar.yaml,
 * which a test holds together. What each of them is for stands in the last.
 */
export const sidecarRuntime = {
  NODE_OPTIONS: '--max-semi-space-size=4 --max-old-space-size=384',
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '65536',
} as const;
