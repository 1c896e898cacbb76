import {
  Server,
  ServerCredentials,
  status,
  type sendUnaryData,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
} from '@grpc/grpc-js';

// The methods of our test server in grpc-js, for callers that are ours.
const same = (bytes: Buffer): Buffer => bytes;
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});
const server = new Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
server.addService(
  {
    unary: method('Unary', false, false),
    never: method('Never', false, false),
    refused: method('Refused', false, false),
    serverStream: method('ServerStream', false, true),
    clientStream: method('ClientStream', true, false),
    bidi: method('Bidi', true, true),
  },
  {
    unary: (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
      const trailers = call.metadata.clone();
      for (const name of Object.keys(trailers.getMap())) if (!name.startsWith('x-')) trailers.remove(name);
      answer(null, call.request, trailers);
    },
    never: () => {},
    refused: (_call: unknown, answer: sendUnaryData<Buffer>) =>
      answer({ code: status.FAILED_PRECONDITION, details: 'nö: 100 %' }),
    serverStream: (call: ServerWritableStream<Buffer, Buffer>) => {
      for (let sent = 0; sent < (call.request[0] ?? 0); sent++) call.write(call.request);
      call.end();
    },
    clientStream: (call: ServerReadableStream<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
      let bytes = 0;
      call.on('data', (message: Buffer) => (bytes += message.length));
      call.on('end', () => answer(null, Buffer.from(String(bytes))));
    },
    bidi: (call: NodeJS.ReadWriteStream) => void call.pipe(call),
  },
);
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.send?.({ address: `127.0.0.1:${port}` });
});
process.once('disconnect', () => process.exit(0));
