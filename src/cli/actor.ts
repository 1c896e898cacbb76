import { userInfo } from 'node:os';

/** Who runs this process, as the audit log is to name them: the user's name, or `uid:1000` where the system has none for it. */
export function osActor(): string {
  // In a container the user id often has no entry, and userInfo() throws.
  const uid = `uid:${process.getuid?.() ?? 'unknown'}`;
  let name: string;
  try {
    name = userInfo().username;
  } catch (error) {
    if (error instanceof Error) return uid;
    throw error;
  }
  // Metadata is printable ASCII; half a name would be somebody else's.
  return /^[\x20-\x7e]+$/.test(name) ? name : uid;
}
