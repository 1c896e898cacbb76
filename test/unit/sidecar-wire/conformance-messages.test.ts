import { frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import { answered, type Case, open, runCases, streamError } from '../../support/sidecar-wire/conformance.ts';
import { frame, plainBlock } from '../../support/sidecar-wire/frames.ts';
import { requestFields } from '../../support/sidecar-wire/raw-peer.ts';

// Section 8 of the public h2spec list: what is malformed is an error of its stream.
type Field = readonly [name: string, value: string];
const { END_HEADERS, END_STREAM } = frameFlags;
const malformed = streamError('PROTOCOL_ERROR');

function request(name: string, fields: readonly Field[]): Case {
  return {
    name,
    act: (peer) => peer.headers(1, fields, END_HEADERS | END_STREAM),
    outcome: malformed,
  };
}

const good = requestFields();
const without = (name: string): readonly Field[] => good.filter((field) => field[0] !== name);
const withBody = (length: number, ...parts: readonly string[]): Case['act'] => {
  return (peer) => {
    peer.headers(1, [...good, ['content-length', String(length)]]);
    for (const [index, part] of parts.entries()) peer.data(1, part, index === parts.length - 1 ? END_STREAM : 0);
  };
};

runCases([
  {
    name: '8.1 a second HEADERS without END_STREAM',
    act: (peer) => peer.send(open(), frame(frameTypes.HEADERS, END_HEADERS, 1, plainBlock([['x-test', 'ok']]))),
    outcome: malformed,
  },
  request('8.1.2 a name in capital letters', [...good, ['X-TEST', 'ok']]),
  request('8.1.2.1 an unknown pseudo-header', [...good, [':test', 'ok']]),
  request('8.1.2.1 a pseudo-header of responses', [...good, [':status', '200']]),
  {
    name: '8.1.2.1 a pseudo-header in trailers',
    act: (peer) =>
      peer.send(open(), frame(frameTypes.HEADERS, END_HEADERS | END_STREAM, 1, plainBlock([[':method', 'POST']]))),
    outcome: malformed,
  },
  request('8.1.2.1 a pseudo-header after a regular field', [['x-test', 'ok'], ...good]),
  request('8.1.2.2 a field of a connection', [...good, ['connection', 'keep-alive']]),
  request('8.1.2.2 TE that is not trailers', [...good, ['te', 'trailers, deflate']]),
  request('8.1.2.3 an empty :path', [...without(':path'), [':path', '']]),
  request('8.1.2.3 no :method', without(':method')),
  request('8.1.2.3 no :scheme', without(':scheme')),
  request('8.1.2.3 no :path', without(':path')),
  request('8.1.2.3 :method twice', [...good, [':method', 'POST']]),
  request('8.1.2.3 :scheme twice', [...good, [':scheme', 'http']]),
  request('8.1.2.3 :path twice', [...good, [':path', '/']]),
  { name: '8.1.2.6 a body unlike its content-length', act: withBody(1, 'test'), outcome: malformed },
  { name: '8.1.2.6 a body in parts unlike its content-length', act: withBody(1, 'te', 'st'), outcome: malformed },
  // Not in the list, of the same kind.
  { name: '8.1.1 a body shorter than its content-length', act: withBody(5, 'te', 'st'), outcome: malformed },
  {
    name: '8.1.1 no body in spite of a content-length',
    act: (peer) => peer.headers(1, [...good, ['content-length', '4']], END_HEADERS | END_STREAM),
    outcome: malformed,
  },
  { name: '8.1.1 a body like its content-length', act: withBody(4, 'te', 'st'), outcome: answered(1) },
  request('8.2.1 a name with a space', [...good, ['x test', 'ok']]),
  request('8.2.1 an empty name', [...good, ['', 'ok']]),
  request('8.2.1 a value with a line feed', [...good, ['x-test', 'o\nk']]),
  request('8.2.1 a value with a space at its end', [...good, ['x-test', 'ok ']]),
  request('8.2.2 transfer-encoding', [...good, ['transfer-encoding', 'chunked']]),
  request('8.3.1 two lengths', [...good, ['content-length', '1'], ['content-length', '2']]),
]);
