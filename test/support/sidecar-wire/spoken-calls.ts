import type { SpokenCall } from './front-caller.ts';
import { uint32 } from './frames.ts';

export type Pair = readonly [name: string, value: string];

/** Pseudo-headers of a request, some of them changed, or left out by null. */
export function pseudoOf(path: string, changed: Readonly<Record<string, string | null>> = {}): Pair[] {
  const fields = { ':method': 'POST', ':scheme': 'http', ':path': path, ':authority': 'localhost', ...changed };
  return Object.entries(fields).filter((pair): pair is [string, string] => pair[1] !== null);
}

export const usualFields: readonly Pair[] = [
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
];

/** A message with its prefix. */
export function messageOf(bytes: Buffer | string, flag = 0): Buffer {
  const content = Buffer.from(bytes as string, 'latin1');
  return Buffer.concat([Buffer.from([flag]), uint32(content.length), content]);
}

const hello = [messageOf('hello')];

/** A call of `/test.Front/...` with some fields more, and a body. */
export function calling(
  method: string,
  more: readonly Pair[] = [],
  body: readonly Buffer[] = hello,
  end: SpokenCall['end'] = 'data',
): SpokenCall {
  return { fields: [...pseudoOf(`/test.Front/${method}`), ...usualFields, ...more], body, end };
}

/** The same call of what a front passes on to the library behind it. */
export function passedOn({ fields, ...call }: SpokenCall): SpokenCall {
  return { ...call, fields: fields.map(([name, value]) => [name, value.replace('/test.Front/', '/test.Passed/')]) };
}
