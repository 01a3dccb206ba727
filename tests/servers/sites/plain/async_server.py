"""asyncio on two addresses: a worker is ready when it listens on both."""
import asyncio
import os

WORKER = os.environ.get("DUTCH_MASTER_WORKER_ID", "")


async def serve(reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    number = head.split(b"id=", 1)[1].split(b" ", 1)[0].decode()
    await asyncio.sleep(0.1 if number.endswith("0") else 0)
    body = f"id={number}. worker={WORKER}\n"
    writer.write(
        f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
    )
    await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, ["127.0.0.1", "127.0.0.2"], 8000)
    async with server:
        await server.serve_forever()


asyncio.run(main())
