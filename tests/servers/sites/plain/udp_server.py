"""A UDP server that knows nothing of who supervises it: a number in, who serves out."""
import os
import socket

WORKER = os.environ.get("DUTCH_MASTER_WORKER_ID", "")
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 8000))
while True:
    number, sender = server.recvfrom(100)
    server.sendto(b"id=%s. worker=%s" % (number, WORKER.encode()), sender)
