/**
 * Something the launcher cannot do, with what to do about it. The message is one line, shown as `error: <message>`;
 * anything else that is thrown is a bug of ours and is shown with its stack.
 */
export class StartError extends Error {
  override readonly name = 'StartError';
}
