import { HeaderField } from '../hpack/header-field.ts';

const status200 = new HeaderField(':status', '200');
/** With the format of the messages: what grpc-js answers, too. */
const contentType = new HeaderField('content-type', 'application/grpc+proto');
const statusOk = new HeaderField('grpc-status', '0');
const acceptsIdentity = new HeaderField('grpc-accept-encoding', 'identity');

/** What begins every response. */
export const responseFields: readonly HeaderField[] = [status200, contentType];
/** What begins the response to a message that was compressed: the compression that we take. */
export const refusedEncodingFields: readonly HeaderField[] = [status200, contentType, acceptsIdentity];
const okFields: readonly HeaderField[] = [statusOk];

/** What ends a call that went well, and more. One more, as most have, is spared the tenth of a microsecond that joining takes. */
export function okFieldsWith(more: readonly HeaderField[]): readonly HeaderField[] {
  const [first] = more;
  if (first === undefined) return okFields;
  return more.length === 1 ? [statusOk, first] : [statusOk, ...more];
}

const methodPost = new HeaderField(':method', 'POST');
const schemeHttp = new HeaderField(':scheme', 'http');
const schemeHttps = new HeaderField(':scheme', 'https');
const te = new HeaderField('te', 'trailers');

/** What begins every request, but for its path and authority. */
export function requestFields(isSecure: boolean): readonly HeaderField[] {
  return [methodPost, isSecure ? schemeHttps : schemeHttp];
}
/** What ends the beginning of every request. */
export const grpcRequestFields: readonly HeaderField[] = [te, contentType];

/** The fields that a server's compression should know. */
export const repeatedByServer: ReadonlySet<HeaderField> = new Set([status200, contentType, statusOk, acceptsIdentity]);
/** The fields that a client's compression should know, besides those of its own. */
export const repeatedByClient: readonly HeaderField[] = [methodPost, schemeHttp, schemeHttps, te, contentType];
