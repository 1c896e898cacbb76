import { expect, it } from 'vitest';
import { HeaderDecoder } from '../../../sidecar/wire/hpack/header-decoder.ts';
import { huffmanBytes, huffmanEncode } from '../../../sidecar/wire/hpack/huffman-encode.ts';
import { IntegerReader, writeInteger } from '../../../sidecar/wire/hpack/integer.ts';

// RFC 7541 appendix C, word for word.
type Step = readonly [section: string, hex: string, fields: readonly string[]];

const requests = [
  [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'],
  [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com', 'cache-control: no-cache'],
  [':method: GET', ':scheme: https', ':path: /index.html', ':authority: www.example.com', 'custom-key: custom-value'],
] as const;
const responses = [
  [
    ':status: 302',
    'cache-control: private',
    'date: Mon, 21 Oct 2013 20:13:21 GMT',
    'location: https://www.example.com',
  ],
  [
    ':status: 307',
    'cache-control: private',
    'date: Mon, 21 Oct 2013 20:13:21 GMT',
    'location: https://www.example.com',
  ],
  [
    ':status: 200',
    'cache-control: private',
    'date: Mon, 21 Oct 2013 20:13:22 GMT',
    'location: https://www.example.com',
    'content-encoding: gzip',
    'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
  ],
] as const;

const sequences: readonly { readonly tableBytesMax: number; readonly steps: readonly Step[] }[] = [
  {
    tableBytesMax: 4_096,
    steps: [['C.2.1', '400a637573746f6d2d6b65790d637573746f6d2d686561646572', ['custom-key: custom-header']]],
  },
  { tableBytesMax: 4_096, steps: [['C.2.2', '040c2f73616d706c652f70617468', [':path: /sample/path']]] },
  { tableBytesMax: 4_096, steps: [['C.2.3', '100870617373776f726406736563726574', ['password: secret']]] },
  { tableBytesMax: 4_096, steps: [['C.2.4', '82', [':method: GET']]] },
  {
    tableBytesMax: 4_096,
    steps: [
      ['C.3.1', '828684410f7777772e6578616d706c652e636f6d', requests[0]],
      ['C.3.2', '828684be58086e6f2d6361636865', requests[1]],
      ['C.3.3', '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565', requests[2]],
    ],
  },
  {
    tableBytesMax: 4_096,
    steps: [
      ['C.4.1', '828684418cf1e3c2e5f23a6ba0ab90f4ff', requests[0]],
      ['C.4.2', '828684be5886a8eb10649cbf', requests[1]],
      ['C.4.3', '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf', requests[2]],
    ],
  },
  {
    tableBytesMax: 256,
    steps: [
      [
        'C.5.1',
        '4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d',
        responses[0],
      ],
      ['C.5.2', '4803333037c1c0bf', responses[1]],
      [
        'C.5.3',
        '88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31',
        responses[2],
      ],
    ],
  },
  {
    tableBytesMax: 256,
    steps: [
      [
        'C.6.1',
        '488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3',
        responses[0],
      ],
      ['C.6.2', '4883640effc1c0bf', responses[1]],
      [
        'C.6.3',
        '88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007',
        responses[2],
      ],
    ],
  },
];

it.each(sequences.map((each) => [each.steps[0]?.[0] ?? '', each] as const))(
  'decodes the examples from %s on',
  (_section, { tableBytesMax, steps }) => {
    const decoder = new HeaderDecoder({ tableBytesMax, listBytesMax: 16_384 });
    for (const [section, hex, fields] of steps) {
      const block = Buffer.from(hex, 'hex');
      const list = decoder.decode(block, 0, block.length);
      expect(
        list.fields.map(({ name, value }) => `${name}: ${value}`),
        section,
      ).toEqual(fields);
    }
  },
);

it.each([
  ['C.1.1', 10, 0x1f, '0a'],
  ['C.1.2', 1_337, 0x1f, '1f9a0a'],
  ['C.1.3', 42, 0xff, '2a'],
] as const)('%s writes and reads the integer %i', (_section, value, mask, hex) => {
  const bytes = Buffer.alloc(8);
  const end = writeInteger(bytes, 0, value, { flags: 0, mask });
  expect(bytes.subarray(0, end).toString('hex')).toBe(hex);
  const reader = new IntegerReader();
  reader.at = 1;
  expect(reader.read(bytes, end, bytes[0]! & mask, mask)).toBe(value);
});

it.each([
  ['www.example.com', 'f1e3c2e5f23a6ba0ab90f4ff'],
  ['no-cache', 'a8eb10649cbf'],
  ['Mon, 21 Oct 2013 20:13:21 GMT', 'd07abe941054d444a8200595040b8166e082a62d1bff'],
])('writes %s in Huffman code as appendix C does', (text, hex) => {
  const bytes = Buffer.alloc(huffmanBytes(text));
  expect(huffmanEncode(text, bytes, 0)).toBe(bytes.length);
  expect(bytes.toString('hex')).toBe(hex);
});
