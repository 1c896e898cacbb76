import { completeLockfile, readLockfile, writeLockfile } from './lockfile.ts';

// npm run lockfile: after `npm install` has changed package-lock.json.
const lockfile = await readLockfile();
const added = completeLockfile(lockfile);
if (added.length > 0) await writeLockfile(lockfile);
console.log(added.length === 0 ? 'package-lock.json is complete' : `added ${added.length}: ${added.join(', ')}`);
