/** How the library names itself: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#user-agents. */
export const userAgent = 'grpc-node-traffic-manager/0.1.0';
