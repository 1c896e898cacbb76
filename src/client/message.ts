/** The fields of a message that the caller gives; what is left out, or undefined, has its proto default. */
export type Fields<Message> = { readonly [Name in keyof Message]?: Message[Name] | undefined };

/** A message type of the generated code, such as `Route`. */
export interface MessageType<Message> {
  decode(input: Uint8Array): Message;
}

/**
 * A whole message from the fields that matter: `message(Route, { key, endpoints })`. Generated types want every field, output
 * only ones too; their encoders fail on a missing one.
 */
export function message<Message>(type: MessageType<Message>, fields: Fields<Message>): Message {
  // No bytes decode to the defaults: the proto knows them, so this library needs no second list.
  return withDefaults(type.decode(new Uint8Array()), fields);
}

/** `fields` over `defaults`, where undefined counts as left out. */
export function withDefaults<Message>(defaults: Message, fields: Fields<Message>): Message {
  const all: Message = { ...defaults };
  // A loop: entries, a filter and what is made of them again cost a lookup more than its protobuf.
  for (const name of Object.keys(fields) as (keyof Message)[]) {
    const value = fields[name];
    if (value !== undefined) all[name] = value;
  }
  return all;
}
