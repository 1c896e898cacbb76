import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Decodes a request, more strictly than the generated decoders do by themselves: they put U+FFFD in the place of bytes that are
 * not UTF-8, and take a field number of 0 or a stray end of a group for the end of the message, silently leaving out the rest
 * (inside of submessages they still do). Throws when the bytes are not a message.
 */
export function decodeRequest<Request>(deserialize: (bytes: Buffer) => Request, bytes: Buffer): Request {
  const fields = new BinaryReader(bytes);
  while (fields.pos < fields.len) {
    const [field, type] = fields.tag();
    if (type === WireType.EndGroup) throw new Error(`group ${field} ends without having begun`);
    fields.skip(type, field);
  }
  // ts-proto's decoders take a reader as well as bytes; the type that they have in a service definition knows only of bytes.
  return deserialize(new BinaryReader(bytes, (text) => utf8.decode(text)) as unknown as Buffer);
}
