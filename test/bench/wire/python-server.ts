import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** The methods of our test server in C-core, as Python has it: prints its port. */
const pythonServer = `
import sys, time, grpc
from concurrent import futures
same = lambda value: value
def refused(request, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'nö: 100 %')
def never(request, context):
    time.sleep(5)
    return request
def unary(request, context):
    context.set_trailing_metadata([item for item in context.invocation_metadata() if item[0].startswith('x-')])
    return request
handlers = {
    'Unary': grpc.unary_unary_rpc_method_handler(unary, same, same),
    'Never': grpc.unary_unary_rpc_method_handler(never, same, same),
    'Refused': grpc.unary_unary_rpc_method_handler(refused, same, same),
    'ServerStream': grpc.unary_stream_rpc_method_handler(lambda request, context: (request for _ in range(request[0])), same, same),
    'ClientStream': grpc.stream_unary_rpc_method_handler(lambda requests, context: str(sum(len(each) for each in requests)).encode(), same, same),
    'Bidi': grpc.stream_stream_rpc_method_handler(lambda requests, context: (each for each in requests), same, same),
}
server = grpc.server(futures.ThreadPoolExecutor(max_workers=64), options=[('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1)])
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler('test.Echo', handlers),))
print(server.add_insecure_port('127.0.0.1:0'), flush=True)
server.start()
sys.stdin.read()
`;

/** Rejects with `No module named 'grpc'` where it is not installed. */
export async function startPythonServer(): Promise<AsyncDisposable & { readonly address: string }> {
  // Debian's, not one of a version manager that lacks the package.
  const child = spawn('/usr/bin/python3', ['-c', pythonServer], { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
  const port = /^\d+$/m.exec(said)?.[0];
  if (port === undefined) throw new Error(said);
  return {
    address: `127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
