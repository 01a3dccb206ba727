"""Clients with a long way to the server, played on a network device of our own: the last packet of
their handshake comes DELAY seconds after the first, and a roll goes on in between.

late.py BINARY CLIENTS DELAY    in a network namespace where we may do what we like
late.py serve                   the server
"""
import fcntl, os, select, signal, socket, struct, subprocess, sys, threading, time

HERE, FAR, PORT = "10.9.0.1", "10.9.0.2", 8000
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def serve():
    if "LISTEN_FDS" in os.environ:
        s = socket.socket(fileno=3)
    else:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("0.0.0.0", PORT))
        s.listen(100)

    def answer(client):
        line = client.recv(100)
        client.sendall(b"generation " + os.environ["DUTCH_MASTER_GENERATION"].encode() + b"\n")
        client.close()

    while True:
        threading.Thread(target=answer, args=(s.accept()[0],), daemon=True).start()


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(port, sequence, acknowledged, flags, data=b""):
    head = struct.pack("!HHIIBBHHH", port, PORT, sequence, acknowledged, 5 << 4, flags, 65000, 0, 0)
    ends = socket.inet_aton(FAR) + socket.inet_aton(HERE)
    sum_ = checksum(ends + struct.pack("!BBH", 0, 6, len(head + data)) + head + data)
    head = head[:16] + struct.pack("!H", sum_) + head[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(head + data), 0, 0x4000, 64, 6, 0) + ends
    return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + head + data


def device():
    tun = os.open("/dev/net/tun", os.O_RDWR)
    # TUNSETIFF with IFF_TUN and IFF_NO_PI.
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"far", 0x1001))
    for words in ("addr add %s/24 dev far" % HERE, "link set far up", "link set lo up"):
        subprocess.run(["ip"] + words.split(), check=True)
    return tun


class Client:
    def __init__(self, tun, port):
        self.tun, self.port, self.sequence, self.seen, self.said, self.end = tun, port, 1000, 0, b"", None
        self.send(SYN)

    def send(self, flags, data=b""):
        os.write(self.tun, packet(self.port, self.sequence, self.seen, flags, data))
        self.sequence += len(data) + (flags & SYN > 0) + (flags & FIN > 0)

    def hear(self, sequence, flags, data):
        if flags & RST:
            self.end = self.end or "reset"
        elif flags & SYN:
            self.seen = sequence + 1
        elif sequence == self.seen and (data or flags & FIN):
            self.said += data
            self.seen += len(data) + (flags & FIN > 0)
            self.send(ACK | (FIN if flags & FIN else 0))
            if flags & FIN:
                self.end = self.end or self.said.decode() or "closed without an answer"


def listen(tun, clients, seconds):
    """Takes what comes from the server for so long, or until all clients have an end."""
    until = time.monotonic() + seconds
    while not all(client.end for client in clients.values()):
        left = until - time.monotonic()
        if left <= 0 or not select.select([tun], [], [], left)[0]:
            return
        raw = os.read(tun, 2000)
        if raw[0] >> 4 != 4 or raw[9] != 6:
            continue
        tcp = raw[(raw[0] & 15) * 4:]
        port, sequence, _, offset, flags = struct.unpack("!2xHIIBB", tcp[:14])
        if port in clients:
            clients[port].hear(sequence, flags, tcp[(offset >> 4) * 4:])


def main(binary, count, delay):
    tun = device()
    master = subprocess.Popen([binary, "--", sys.executable, __file__, "serve"], stderr=subprocess.PIPE, text=True)
    log = []

    def until(message):
        while not any(message in line for line in log):
            line = master.stderr.readline()
            if not line:
                sys.exit("the log ends before %r: %s" % (message, "".join(log)))
            log.append(line)

    until("every worker ready")
    clients = {port: Client(tun, port) for port in range(20000, 20000 + count)}
    limit = time.monotonic() + 30
    while not all(client.seen for client in clients.values()):
        assert time.monotonic() < limit, "not every handshake began"
        listen(tun, clients, 0.1)
    log.clear()
    master.send_signal(signal.SIGUSR2)
    until("draining worker")
    listen(tun, clients, delay)
    for client in clients.values():
        client.send(ACK)
        client.send(ACK | PSH, b"hello\n")
    listen(tun, clients, 40)
    ends = {}
    for client in clients.values():
        end = (client.end or "silence").strip()
        ends[end] = ends.get(end, 0) + 1
    until("roll complete")
    until("worker exited")
    master.send_signal(signal.SIGTERM)
    master.stderr.read()
    print(ends, "after", delay, "s, master ends with", master.wait())


if sys.argv[1] == "serve":
    serve()
main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
