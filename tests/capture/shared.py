"""Servers that stop gracefully and know nothing of who else listens: one line in, "PID SLOT GENERATION" out."""
import ctypes, os, select, signal, socket, sys, threading, time

mode, port = sys.argv[1], int(sys.argv[2])
slot, generation = (int(os.environ["DUTCH_MASTER_" + name]) for name in ("SLOT", "GENERATION"))
me = "%d %d %d\n" % (os.getpid(), slot, generation)
kept = []


def listening(at=port, host="127.0.0.1", reuse=False, backlog=5):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if reuse:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind((host, at))
    s.listen(backlog)
    return s


def answer(client):
    """Returns what it was asked."""
    with client:
        client.settimeout(20)
        word = client.recv(100).decode().strip()
        client.sendall(me.encode())
        if word == "end":
            # Kept open, it ends by shutdown(2) alone.
            client.shutdown(socket.SHUT_RDWR)
            kept.append(client.dup())
        return word


def serve(*listeners, does=None):
    """Until it is told to stop; what it has accepted it finishes."""
    stop, (reads, writes) = [], os.pipe()
    os.set_blocking(writes, False)
    signal.set_wakeup_fd(writes)
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    for s in listeners:
        s.setblocking(False)
    while not stop:
        for s in select.select([reads, *listeners], [], [])[0]:
            if s is reads or stop:
                continue
            try:
                client = s.accept()[0]
            except OSError:
                continue
            client.setblocking(True)
            word = answer(client)
            if does and does(s, word):
                while not stop:
                    time.sleep(0.05)


def shuts(s, word):
    """Shuts its listener as servers do, and waits for its end."""
    if word == "shut":
        s.shutdown(socket.SHUT_RDWR)
        s.close()
    return word == "shut"


def again(s, word):
    """Shuts its listener and opens it again."""
    if word == "again":
        s.shutdown(socket.SHUT_RDWR)
        s.listen(5)


def disconnects(s, word):
    """Ends the listening in a way that nobody sees: connect(2) with AF_UNSPEC."""
    if word == "shut":
        if ctypes.CDLL(None).connect(s.fileno(), bytes(16), 16) != 0:
            sys.exit("it goes on")
        print("disconnected", flush=True)


def floods():
    """Shuts connections as fast as it can, in slot 0."""
    def flood():
        while True:
            a, b = socket.socketpair()
            a.shutdown(socket.SHUT_RDWR)
            a.close()
            b.close()
    if slot == 0:
        for _ in range(4):
            threading.Thread(target=flood, daemon=True).start()
    serve(listening())


def reopens():
    """Closes its listener and opens it anew, all the time."""
    s = listening()
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    while not stop:
        s.settimeout(0.3)
        try:
            client = s.accept()[0]
        except TimeoutError:
            client = None
        if client:
            client.settimeout(20)
            answer(client)
        s.close()
        s = listening()


def forks():
    """Leaves all the work to children, as nginx does."""
    s = listening()
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            return serve(s)
        children.append(child)
    def stop(*_):
        for child in children:
            os.kill(child, signal.SIGTERM)
        for child in children:
            os.waitpid(child, 0)
        os._exit(0)
    signal.signal(signal.SIGTERM, stop)
    while True:
        signal.pause()


def several():
    """Has several listeners in one place."""
    sockets = [listening(reuse=True) for _ in range(2)]
    print("sockets", len({os.fstat(s.fileno()).st_ino for s in sockets}), flush=True)
    serve(*sockets)


def costs():
    """Says how many nanoseconds a shutdown of a connection takes."""
    s = listening()
    for name, how in (("both", socket.SHUT_RDWR), ("writing", socket.SHUT_WR)):
        pairs = [socket.socketpair() for _ in range(400)]
        times = []
        for one, _ in pairs:
            began = time.perf_counter_ns()
            one.shutdown(how)
            times.append(time.perf_counter_ns() - began)
        print("costs", name, sorted(times)[len(times) // 2], flush=True)
        for one, other in pairs:
            one.close()
            other.close()
    serve(s)


{
    "serve": lambda: serve(listening()),
    "two": lambda: serve(listening(), (time.sleep(1.5 if generation > 1 else 0), listening(port + 1))[1]),
    "shuts": lambda: serve(listening(), does=shuts),
    "again": lambda: serve(listening(), does=again),
    "disconnects": lambda: serve(listening(), does=disconnects),
    "floods": floods,
    "reopens": reopens,
    "forks": forks,
    "several": several,
    "costs": costs,
    "v6": lambda: serve(listening(host="::1")),
    "backlog": lambda: serve(listening(backlog=5000 + generation)),
}[mode]()
