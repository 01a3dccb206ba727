"""A server that asks for MPTCP, whose sockets the kernel does not steer: it gets TCP."""
import http.server
import os
import socket

WORKER = os.environ.get("DUTCH_MASTER_WORKER_ID", "")


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        number = self.path.split("id=", 1)[1]
        body = f"id={number}. worker={WORKER}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 8000), Answer, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
        self.server_bind()
        self.server_activate()


Server().serve_forever()
