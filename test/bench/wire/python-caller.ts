/** Calls of C-core, as Python has it: `python3 -c … host:port`; prints one line for each thing that holds, and fails on the first that does not. */
export const pythonCaller = `
import sys, grpc
address = sys.argv[1]
same = lambda value: value
channel = grpc.insecure_channel(address, options=[('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1)])
unary = lambda name: channel.unary_unary('/test.Echo/' + name, request_serializer=same, response_deserializer=same)
for size in (0, 1, 70000, 4 * 1024 * 1024, 64 * 1024 * 1024):
    assert unary('Unary')(b'a' * size, timeout=60) == b'a' * size
print('unary, 0 to 64 MiB')
answer, call = unary('Unary').with_call(b'x', metadata=(('x-some', 'value'), ('x-some-bin', b'\\x00\\xff')), timeout=20)
trailers = dict(call.trailing_metadata())
assert trailers['x-some'] == 'value' and trailers['x-some-bin'] == b'\\x00\\xff', trailers
print('metadata and trailers, binary ones too')
def fails(name, code, **options):
    try:
        unary(name)(b'x', **options)
    except grpc.RpcError as error:
        assert error.code() == code, error
        return error
    raise AssertionError(name + ' did not fail')
fails('None', grpc.StatusCode.UNIMPLEMENTED, timeout=20)
assert fails('Refused', grpc.StatusCode.FAILED_PRECONDITION, timeout=20).details() == 'nö: 100 %'
fails('Never', grpc.StatusCode.DEADLINE_EXCEEDED, timeout=0.1)
print('statuses, their text, deadlines')
futures = [unary('Later').future(str(index).encode(), timeout=60) for index in range(10000)]
assert [future.result() for future in futures] == [str(index).encode() for index in range(10000)]
print('10,000 calls at a time')
bidi = channel.stream_stream('/test.Echo/Bidi', request_serializer=same, response_deserializer=same)
assert list(bidi(iter([b'one', b'two', b'x' * 300000]), timeout=20)) == [b'one', b'two', b'x' * 300000]
stream = channel.unary_stream('/test.Echo/ServerStream', request_serializer=same, response_deserializer=same)
assert len(list(stream(b'\\xc8', timeout=20))) == 200
count = channel.stream_unary('/test.Echo/ClientStream', request_serializer=same, response_deserializer=same)
assert count(iter([b'a' * 100000] * 10), timeout=20) == b'1000000'
print('all streams')
try:
    channel.unary_unary('/test.Echo/Unary', request_serializer=same, response_deserializer=same)(b'x' * 100, timeout=20, compression=grpc.Compression.Gzip)
    raise AssertionError('gzip was taken')
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
print('gzip refused')
`;
