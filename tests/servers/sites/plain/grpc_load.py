"""What the strict client is for HTTP: a channel per call, no retries, and a report on SIGTERM."""
import collections
import itertools
import json
import signal
import sys
import threading
import time

import grpc

CLIENTS = 3
stop = threading.Event()
ids = itertools.count(1)
lock = threading.Lock()
counts = collections.Counter()
by = collections.Counter()
failures = []
OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]


def call(number):
    with grpc.insecure_channel("127.0.0.1:8000", OPTIONS) as channel:
        body = channel.unary_unary("/test/Echo")(number.encode(), timeout=10).decode()
    if not body.startswith(f"id={number}. "):
        raise ValueError(body)
    return body.split("worker=")[1]


def client():
    while not stop.is_set():
        try:
            who = call(str(next(ids)))
        except (grpc.RpcError, ValueError) as error:
            with lock:
                counts["failed"] += 1
                failures[:] = [*failures, str(error)][:10]
        else:
            with lock:
                counts["ok"] += 1
                by[who] += 1
        time.sleep(0.002)


for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: stop.set())
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
