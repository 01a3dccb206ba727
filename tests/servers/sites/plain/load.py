"""What the strict client is for HTTP, over grpc or udp: each call stands alone and none is tried again; it
reports on SIGTERM."""
import collections
import itertools
import json
import signal
import socket
import sys
import threading
import time

CLIENTS = 3
stop = threading.Event()
ids = itertools.count(1)
lock = threading.Lock()
counts = collections.Counter()
by = collections.Counter()
failures = []


def over_grpc():
    """A channel per call, without retries."""
    import grpc

    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]

    def call(number):
        with grpc.insecure_channel("127.0.0.1:8000", options) as channel:
            return channel.unary_unary("/test/Echo")(number.encode(), timeout=10).decode()

    return grpc.RpcError, call


def over_udp():
    """A socket per datagram, which is sent once."""

    def call(number):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(10)
            s.connect(("127.0.0.1", 8000))
            s.send(number.encode())
            return s.recv(100).decode()

    return OSError, call


def client():
    while not stop.is_set():
        try:
            number = str(next(ids))
            body = call(number)
            if not body.startswith(f"id={number}. "):
                raise ValueError(body)
            who = body.split("worker=")[1]
        except (Failure, ValueError) as error:
            with lock:
                counts["failed"] += 1
                failures[:] = [*failures, str(error)][:10]
        else:
            with lock:
                counts["ok"] += 1
                by[who] += 1
        time.sleep(0.002)


Failure, call = {"grpc": over_grpc, "udp": over_udp}[sys.argv[1]]()
for how in (signal.SIGTERM, signal.SIGINT):
    signal.signal(how, lambda *_: stop.set())
threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
for thread in threads:
    thread.start()
print("strict-client: running", file=sys.stderr, flush=True)
stop.wait()
for thread in threads:
    thread.join()
total = counts["ok"] + counts["failed"]
kind = {"requests": total, "failed": counts["failed"], "classes": dict(counts)}
print(json.dumps({"one_shot": kind, "keep_alive": {}, "by": by, "gap_ms": 0, "failures": failures}))
