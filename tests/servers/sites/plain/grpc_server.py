"""gRPC, which shuts its listener down when it goes: shared, that would be everybody's."""
import os
import signal
import time
from concurrent import futures

import grpc

WORKER = os.environ.get("DUTCH_MASTER_WORKER_ID", "")


def answer(request, context):
    if request.endswith(b"0"):
        time.sleep(0.1)
    return b"id=%s. worker=%s" % (request, WORKER.encode())


server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
method = grpc.unary_unary_rpc_method_handler(answer)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", {"Echo": method}),))
if server.add_insecure_port("127.0.0.1:8000") == 0:
    raise SystemExit("127.0.0.1:8000 can't be had")
server.start()
signal.signal(signal.SIGTERM, lambda *_: server.stop(5))
server.wait_for_termination()
