import { frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import { type Case, connectionError, runCases } from '../../support/sidecar-wire/conformance.ts';
import { frame, plainBlock } from '../../support/sidecar-wire/frames.ts';
import { requestFields } from '../../support/sidecar-wire/raw-peer.ts';

const { END_HEADERS, END_STREAM } = frameFlags;

/** A request whose block holds something broken: a decoding error ends the connection (RFC 9113 §4.3). */
function broken(name: string, bytes: readonly number[], isFirst = false): Case {
  const block = plainBlock(requestFields());
  const parts = isFirst ? [Buffer.from(bytes), block] : [block, Buffer.from(bytes)];
  return {
    name,
    act: (peer) => peer.send(frame(frameTypes.HEADERS, END_HEADERS | END_STREAM, 1, Buffer.concat(parts))),
    outcome: connectionError('COMPRESSION_ERROR'),
  };
}

// x-test as a new name, then a string of Huffman code; 0x81, 0x1f is '"a"' padded as it should be.
const name = [0x00, 0x06, 0x78, 0x2d, 0x74, 0x65, 0x73, 0x74];

runCases([
  broken('2.3.3 an index of no field', [0x80 | 70]),
  broken('2.3.3 a literal with the index of no name', [0x40 | 62, 0x04, 0x74, 0x65, 0x73, 0x74]),
  broken('4.2 a table size update at the end of a block', [0x21]),
  broken('5.2 Huffman code with more than 7 bits of padding', [...name, 0x85, 0x1f, 0xff, 0xff, 0xff, 0xff]),
  broken('5.2 Huffman code with a whole octet of padding', [...name, 0x82, 0x1f, 0xff]),
  broken('5.2 Huffman code padded with zeros', [...name, 0x81, 0x18]),
  broken('5.2 Huffman code with the end of the string in it', [...name, 0x84, 0xff, 0xff, 0xff, 0xfc]),
  broken('6.1 index 0', [0x80]),
  broken('6.3 a table size update above SETTINGS_HEADER_TABLE_SIZE', [0x3f, 0xe2, 0x1f], true),
  // Not in the list, of the same kind.
  broken('5.1 an integer that does not end', [0xff]),
  broken('5.1 an integer of more than 2^28', [0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
  broken('5.2 a string that is longer than its block', [0x00, 0x7f]),
  broken('6.2 a name without a value', [0x00, 0x01, 0x78]),
]);
