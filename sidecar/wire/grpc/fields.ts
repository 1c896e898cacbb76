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
/** What ends a call that went well. */
export const okFields: readonly HeaderField[] = [statusOk];

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
