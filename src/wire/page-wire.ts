import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/**
 * Bytes of the resources in one reply, unless the first of them alone has more (256 KiB each, a change twice that): gRPC clients take
 * messages of 4 MiB unless they are told otherwise, and 1,000 resources at their limit would be 256 MiB.
 */
const pageBytesMax = 2 * 1024 * 1024;

/** Field numbers of ListRoutesResponse, ListTrafficPoliciesResponse and ListChangesResponse. */
const pageField = { resources: 1, nextPageToken: 2, revision: 3 } as const;

/** Encodes the first resources, as many as fit in a reply; one at least. */
export function encodeFirst<Resource>(
  resources: Iterable<Resource>,
  encode: (resource: Resource) => Uint8Array,
): Uint8Array[] {
  const encoded: Uint8Array[] = [];
  let bytes = 0;
  for (const resource of resources) {
    const next = encode(resource);
    bytes += next.length;
    if (bytes > pageBytesMax && encoded.length > 0) break;
    encoded.push(next);
  }
  return encoded;
}

/**
 * A page of resources that are encoded already: how many fit in it is decided by their bytes, and encoding is most of what a page
 * costs here.
 */
export function encodePage(
  resources: readonly Uint8Array[],
  { nextPageToken, revision }: { nextPageToken: string; revision: number },
): Buffer {
  const writer = new BinaryWriter();
  for (const resource of resources) writer.tag(pageField.resources, WireType.LengthDelimited).bytes(resource);
  if (nextPageToken !== '') writer.tag(pageField.nextPageToken, WireType.LengthDelimited).string(nextPageToken);
  return Buffer.from(writer.tag(pageField.revision, WireType.Varint).int64(revision).finish());
}
