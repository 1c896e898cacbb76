import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { repository } from './run-command.ts';

// The last step of `npm run build`: puts the sidecar and the packages it uses into few files, in the place of the main.js that tsc
// made. Node then reads 4 files instead of 400: a cold start takes 0.6 of the CPU time (decision 0013). What is loaded on demand stays
// apart: NATS's client, our own HTTP/2 engine, and reflection, which reads its protos beside it and is not bundled at all.

const directory = join(repository, 'dist/sidecar');
// Of an earlier build, whose files may have had other names; and what says that main.js is the module that it was.
for (const name of await readdir(directory))
  if (name.startsWith('main-') || name === 'main.d.ts') await rm(join(directory, name));

const bundle = await rolldown({
  input: join(repository, 'sidecar/main.ts'),
  platform: 'node',
  // grpc-js loads it for channelz, which we do not serve; with protobufjs in it, a sixth of all that a start would have to read.
  external: ['@grpc/proto-loader'],
  plugins: [
    {
      name: 'reflection as tsc made it',
      resolveId: {
        filter: { id: /\/reflection\.ts$/ },
        handler: () => ({ id: '../src/platform/grpc/reflection.js', external: true }),
      },
    },
  ],
});
const { output } = await bundle.write({
  dir: directory,
  format: 'esm',
  // Not minified: 20 ms of CPU time less, for stack traces that nobody can read.
  entryFileNames: 'main.js',
  chunkFileNames: 'main-[name].js',
  sourcemap: true,
});
await bundle.close();
const bytes = output.reduce((total, file) => total + (file.type === 'chunk' ? file.code.length : 0), 0);
console.log(
  `dist/sidecar/main.js: ${output.filter(({ type }) => type === 'chunk').length} files, ${Math.round(bytes / 1_000)} KB`,
);
