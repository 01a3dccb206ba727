import time
from urllib.parse import parse_qs

time.sleep(BOOT)
if "FATE" == "broken":
    raise RuntimeError("this release is broken")
while "FATE" == "hanging":
    time.sleep(1)


def body(query):
    return f"id={parse_qs(query).get('id', ['0'])[0]}. version=VERSION\n".encode()


def wsgi(environ, start_response):
    text = body(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]


application = wsgi


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    text = body(scope["query_string"].decode())
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})
