"""A server that knows nothing of who supervises it: one line in, "PID SLOT GENERATION" out."""
import ctypes, errno, os, select, signal, socket, sys, threading, time

mode, port = sys.argv[1], int(sys.argv[2])
slot, generation = (int(os.environ["DUTCH_MASTER_" + name]) for name in ("SLOT", "GENERATION"))
me = "%d %s %s\n" % (os.getpid(), os.environ["DUTCH_MASTER_SLOT"], os.environ["DUTCH_MASTER_GENERATION"])


def say(*words):
    print(*words, flush=True)


def listening(at=port, kind=socket.SOCK_STREAM, protocol=0):
    s = socket.socket(socket.AF_INET, kind, protocol)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", at))
    s.listen(5)
    return s


def answer(client):
    with client:
        client.settimeout(20)
        line = b""
        while not line.endswith(b"\n"):
            more = client.recv(100)
            if not more:
                return ""
            line += more
        words = line.decode().split()
        if words[0] == "hold":
            time.sleep(float(words[1]))
        client.sendall(me.encode())
        return words[0]


def serve(s):
    while True:
        answer(s.accept()[0])


def threaded(s):
    while True:
        threading.Thread(target=answer, args=(s.accept()[0],), daemon=True).start()


def errno_of(call):
    try:
        call()
    except OSError as error:
        return error.errno
    return 0


def epoll_first():
    """Registers its listener before it has an address, and never looks at it otherwise."""
    s, e = socket.socket(), select.epoll()
    s.setblocking(False)
    e.register(s.fileno(), select.EPOLLIN)
    s.bind(("127.0.0.1", port))
    try:
        s.listen(5)
    except OSError:
        # As a program would that does not take no for an answer.
        print("listened again:", errno_of(lambda: s.listen(5)), flush=True)
        raise
    while True:
        for _ in e.poll():
            try:
                client = s.accept()[0]
            except BlockingIOError:
                continue
            client.setblocking(True)
            answer(client)


def rebind():
    """Closes its listener and opens it anew, all the time."""
    while True:
        s = listening()
        s.settimeout(0.02)
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            try:
                answer(s.accept()[0])
            except TimeoutError:
                pass
        s.close()
        time.sleep(0.05)


def outbound(to):
    """Opens and closes connections, then serves, and echoes on one that stays open."""
    for _ in range(500):
        socket.create_connection(("127.0.0.1", to)).close()
    for _ in range(50):
        try:
            socket.create_connection(("127.0.0.1", 9))
        except ConnectionRefusedError:
            pass
    say("connected")
    chat = socket.create_connection(("127.0.0.1", to))
    serving = threading.Thread(target=serve, args=(listening(),), daemon=True)
    serving.start()
    while True:
        chat.sendall(chat.recv(1))


def flood():
    """Asks for sockets as fast as it can, in slot 0."""
    def ask():
        while True:
            socket.socket().close()
    if os.environ["DUTCH_MASTER_SLOT"] == "0":
        for _ in range(4):
            threading.Thread(target=ask, daemon=True).start()
    serve(listening())


def orphaned(pipe_path):
    """Asks for a socket whenever a line comes, whoever listens."""
    s = listening()
    say("serving")
    with open(pipe_path) as lines:
        for _ in lines:
            try:
                socket.socket().close()
                say("a socket")
            except OSError as error:
                say("errno", errno.errorcode[error.errno])
                os._exit(0)


def shutter():
    s = listening()
    while True:
        try:
            client = s.accept()[0]
        except OSError:
            time.sleep(1000)
        if answer(client) == "shut":
            s.shutdown(socket.SHUT_RDWR)


def undumpable():
    if ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) != 0:
        sys.exit("can't be made undumpable")
    threaded(listening())


def ticking():
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    libc = ctypes.CDLL(None, use_errno=True)
    # A signal that comes before the master has taken the call interrupts it: on a busy machine. Each
    # call must get through all the same.
    for _ in range(40):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            fd = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
            if fd >= 0 or ctypes.get_errno() != errno.EINTR:
                break
        if fd < 0:
            sys.exit("socket: %s" % os.strerror(ctypes.get_errno()))
        os.close(fd)
    say("ticking")
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            s = listening()
            break
        except InterruptedError:
            pass
    threaded(s)


def multipath():
    s = listening(protocol=262)
    say("protocol", s.getsockopt(socket.SOL_SOCKET, 38))
    serve(s)


def chosen():
    """Beside its own port it has one that the kernel chooses."""
    s = listening(0)
    say("chosen", s.getsockname()[1])
    threading.Thread(target=serve, args=(s,), daemon=True).start()
    serve(listening())


def copied():
    """Listens on a copy under another number."""
    s = socket.socket()
    os.dup2(s.fileno(), 77)
    s.close()
    s = socket.socket(fileno=77)
    s.bind(("127.0.0.1", port))
    s.listen(5)
    serve(s)


def probed(directory):
    """Looks what the kernel can, as Go's runtime does, and then listens where nobody shares."""
    trials = [socket.socket(family) for family in (socket.AF_INET, socket.AF_INET6)]
    for trial, at in zip(trials, ("127.0.0.1", "::1")):
        trial.bind((at, 0))
    for trial in trials:
        trial.close()
    s = socket.socket(socket.AF_UNIX)
    s.bind("%s/slot-%s" % (directory, os.environ["DUTCH_MASTER_SLOT"]))
    s.listen(5)
    serve(s)


def sandboxed():
    """Has a child in a network of its own, in which nobody can be reached."""
    s, (reads, writes) = listening(), os.pipe()
    if os.fork() == 0:
        # CLONE_NEWUSER and CLONE_NEWNET.
        if ctypes.CDLL(None).unshare(0x50000000) != 0:
            os.write(writes, b"sandbox: refused")
            os._exit(1)
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            os.write(writes, b"sandbox: got out")
        except OSError as error:
            os.write(writes, b"sandbox: " + errno.errorcode[error.errno].encode())
        os._exit(0)
    say(os.read(reads, 100).decode())
    serve(s)


def slow():
    """Takes its time before it listens, and ends well when it is told to."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    say("slow")
    time.sleep(4)
    serve(listening())


def two():
    """Opens the second port late."""
    s = listening()
    threading.Thread(target=threaded, args=(s,), daemon=True).start()
    if os.environ["DUTCH_MASTER_GENERATION"] != "1":
        time.sleep(1.5)
    threaded(listening(port + 1))


def metrics():
    """One of the workers has a port more."""
    s = listening()
    if slot == 0:
        threading.Thread(target=threaded, args=(listening(port + 1),), daemon=True).start()
    threaded(s)


def greedy():
    """The second release opens a port more, and is no good in one slot."""
    s = listening()
    if generation == 2:
        if slot == 1:
            sys.exit("no good here")
        threading.Thread(target=threaded, args=(listening(port + 1),), daemon=True).start()
    threaded(s)


def local(path):
    """In one slot a Unix socket, after a while; in others none."""
    if slot == 0:
        time.sleep(6)
        s = socket.socket(socket.AF_UNIX)
        if os.path.exists(path):
            os.remove(path)
        s.bind(path)
        s.listen(5)
    time.sleep(1000)


def helped():
    """Has a helper that is in no group of ours and outlives it, with all it has inherited."""
    s = listening()
    if os.fork() == 0:
        os.setsid()
        time.sleep(8)
        os._exit(0)
    serve(s)


def several():
    """Has several listeners in one place, each with somebody who accepts there."""
    sockets = []
    for index in range(2):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        s.bind(("127.0.0.1", port))
        s.listen(5)
        sockets.append(s)
    say("sockets", len({os.fstat(s.fileno()).st_ino for s in sockets}))

    def accept(s):
        mine = s.fileno()
        while True:
            with s.accept()[0] as client:
                client.recv(100)
                client.sendall(b"%d %d\n" % (mine, os.getpid()))
    for s in sockets:
        threading.Thread(target=accept, args=(s,), daemon=True).start()
    signal.pause()


def unblocked():
    """Does not wait when it begins to listen, and does later."""
    s = socket.socket()
    s.setblocking(False)
    s.bind(("127.0.0.1", port))
    s.listen(5)
    # What the kernel knows, not what Python remembers.
    say("waits", os.get_blocking(s.fileno()))
    s.setblocking(True)
    serve(s)


def on_demand():
    """Opens a second port when it is asked to, whenever that is."""
    s = listening()
    while True:
        if answer(s.accept()[0]) == "open":
            threading.Thread(target=threaded, args=(listening(port + 1),), daemon=True).start()


def again():
    """Has a second port, the last to be opened, which it shuts and opens again when it is asked to."""
    s = listening()
    time.sleep(2 if generation > 1 else 0)
    second = listening(port + 1)
    while True:
        if answer(s.accept()[0]) == "again":
            second.shutdown(socket.SHUT_RDWR)
            time.sleep(0.2)
            second.listen(5)
            say("again")


def overwritten(path):
    """Puts another socket under the number of one that has an address already."""
    s, other = socket.socket(), socket.socket(socket.AF_UNIX)
    s.bind(("127.0.0.1", port))
    other.bind(path)
    os.dup2(other.fileno(), s.fileno())
    if ctypes.CDLL(None).listen(s.fileno(), 5) != 0:
        sys.exit("it does not listen")
    serve(other)


def pauses():
    """Ends its listening and begins again when asked, and answers a while later."""
    s = listening()

    def one(client):
        with client:
            words = client.recv(100).decode().split()
            if words[0] == "pause":
                s.shutdown(socket.SHUT_RDWR)
                time.sleep(float(words[1]))
                s.listen(5)
                threading.Thread(target=accepting, daemon=True).start()
                time.sleep(5)
            client.sendall(me.encode())

    def accepting():
        try:
            while True:
                threading.Thread(target=one, args=(s.accept()[0],), daemon=True).start()
        except OSError:
            pass
    accepting()
    time.sleep(1000)


def apart():
    """Has two processes that open the same port, each for itself; if one dies, the other goes on."""
    for _ in range(2):
        if os.fork() == 0:
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            s.bind(("127.0.0.1", port))
            s.listen(5)
            me_too = "%d %s %s\n" % (os.getpid(), slot, generation)
            while True:
                with s.accept()[0] as client:
                    client.recv(100)
                    client.sendall(me_too.encode())
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, 9))
    while True:
        signal.pause()


def closes():
    """Stops as servers do: closes the listener, finishes, ends."""
    s = listening()
    def stop(*_):
        s.close()
        say("closed")
        time.sleep(1.5)
        os._exit(0)
    signal.signal(signal.SIGTERM, stop)
    while True:
        answer(s.accept()[0])


def child():
    """Leaves all the work to a child that forks after the listen."""
    s = listening()
    for _ in range(2):
        if os.fork() == 0:
            serve(s)
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, 9))
    while True:
        signal.pause()


{
    "serve": lambda: serve(listening()),
    "threaded": lambda: threaded(listening()),
    "epoll-first": epoll_first,
    "rebind": rebind,
    "outbound": lambda: outbound(int(sys.argv[3])),
    "flood": flood,
    "orphaned": lambda: orphaned(sys.argv[3]),
    "shutter": shutter,
    "undumpable": undumpable,
    "ticking": ticking,
    "multipath": multipath,
    "chosen": chosen,
    "copied": copied,
    "probed": lambda: probed(sys.argv[3]),
    "sandboxed": sandboxed,
    "two": two,
    "by-slot": lambda: serve(listening(port + slot)),
    "metrics": metrics,
    "greedy": greedy,
    "job": lambda: time.sleep(2),
    "local": lambda: local(sys.argv[3]),
    "helped": helped,
    "several": several,
    "unblocked": unblocked,
    "on-demand": on_demand,
    "again": again,
    "overwritten": lambda: overwritten(sys.argv[3]),
    "pauses": pauses,
    "apart": apart,
    "closes": closes,
    "child": child,
    "slow": slow,
    "never": lambda: time.sleep(1000),
}[mode]()
