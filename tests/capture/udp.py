"""A UDP server that knows nothing of who supervises it: a number in, "NUMBER PID SLOT GENERATION" out."""
import os, selectors, signal, socket, sys, threading, time

mode, port = sys.argv[1], int(sys.argv[2])
slot, generation = (os.environ["DUTCH_MASTER_" + name] for name in ("SLOT", "GENERATION"))


def bound(at="127.0.0.1", family=socket.AF_INET, only=True, port=port, option=None):
    s = socket.socket(family, socket.SOCK_DGRAM)
    if option:
        s.setsockopt(socket.SOL_SOCKET, option, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
    s.bind((at, port))
    return s


def serve(*sockets):
    me = "%d %s %s" % (os.getpid(), slot, generation)
    waits = selectors.DefaultSelector()
    for s in sockets:
        waits.register(s, selectors.EVENT_READ)
    while True:
        for ready, _ in waits.select():
            s = ready.fileobj
            if s.type == socket.SOCK_STREAM:
                client = s.accept()[0]
                with client:
                    client.recv(100)
                    client.sendall(me.encode() + b"\n")
                continue
            words, sender = s.recvfrom(100)
            if words == b"1000":
                more = bound(port=port + 1)
                waits.register(more, selectors.EVENT_READ)
            s.sendto(words + b" " + me.encode(), sender)


def both():
    """The same port for TCP, as DNS has it."""
    s = socket.socket()
    s.bind(("127.0.0.1", port))
    s.listen(5)
    serve(s, bound())


def late():
    """Ready for IPv6 a while after IPv4."""
    first = bound()
    time.sleep(1.5)
    serve(first, bound("::1", socket.AF_INET6))


def clients():
    """Asks others, in each of the ways there are, before it serves."""
    to = ("127.0.0.1", 9)
    for round in range(500):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            if round % 3 == 0:
                s.connect(to)
            elif round % 3 == 1:
                s.bind(("127.0.0.1", 0))
            else:
                s.sendto(b"", to)
    print("asked", flush=True)
    serve(bound())


def reopens():
    """Closes its socket and opens it anew."""
    for _ in range(3):
        bound().close()
    serve(bound())


def prefork():
    """Two processes with a socket each, of the same number."""
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            serve(bound(option=socket.SO_REUSEPORT))
        children.append(child)

    def stop(*_):
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    while True:
        signal.pause()


def names():
    """A TCP server whose number a thread had for a question to others just before."""
    numbers = []

    def ask():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(("127.0.0.1", 9))
            numbers.append(s.fileno())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    s = socket.socket()
    assert numbers == [s.fileno()]
    s.bind(("127.0.0.1", port))
    s.listen(5)
    serve(s)


def floods():
    """One of the workers has sixty threads whose binds fail, and all of them go on for ever."""

    def fail():
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                try:
                    s.bind(("192.0.2.1", port))
                except OSError:
                    pass

    start = time.monotonic()
    server = bound()
    print("bound after %d" % ((time.monotonic() - start) * 1000), flush=True)
    if slot == "0":
        for _ in range(60):
            threading.Thread(target=fail, daemon=True).start()
    serve(server)


{
    "serve": lambda: serve(bound()),
    "families": lambda: serve(bound(), bound("::1", socket.AF_INET6)),
    "dual": lambda: serve(bound("::", socket.AF_INET6, only=False)),
    "both": both,
    "late": late,
    "clients": clients,
    "reopens": reopens,
    "prefork": prefork,
    "names": names,
    "floods": floods,
}[mode]()
