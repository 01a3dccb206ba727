"""The same answer over WSGI and ASGI; the ASGI one says READY=1 when it has started.

Every tenth request takes a while, so that some are in flight whenever the server is told to stop.
"""
import asyncio
import os
import socket
import time
from urllib.parse import parse_qs

PAUSE = 0.1
GENERATION = os.environ.get("DUTCH_MASTER_GENERATION", "")
WORKER = os.environ.get("DUTCH_MASTER_WORKER_ID", "")


def ready():
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.sendto(b"READY=1", path.replace("@", "\0", 1))


def number(query):
    return parse_qs(query).get("id", [""])[0]


def pause(number):
    return PAUSE if number.endswith("0") else 0


def answer(number):
    return f"id={number}. generation={GENERATION} worker={WORKER}\n".encode()


def wsgi(environ, start_response):
    asked = number(environ["QUERY_STRING"])
    time.sleep(pause(asked))
    body = answer(asked)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
                ready()
            else:
                await send({"type": "lifespan.shutdown.complete"})
                return
    asked = number(scope["query_string"].decode())
    await asyncio.sleep(pause(asked))
    body = answer(asked)
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
