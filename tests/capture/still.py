"""A worker that stands still for a while, on a machine whose loopback has no IPv6.

still.py BINARY    in a network namespace where we may do what we like
still.py serve     the server: on all addresses of both families
"""
import os, signal, socket, subprocess, sys, threading, time

PORT = 8000


def serve():
    s = socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        client = s.accept()[0]
        client.sendall(b"%d" % os.getpid())
        client.close()


def ask():
    with socket.create_connection(("127.0.0.1", PORT), timeout=20) as s:
        return int(s.recv(100))


def main(binary):
    for words in ("link set lo up", "address del ::1/128 dev lo"):
        subprocess.run(["ip"] + words.split(), check=True)
    master = subprocess.Popen([binary, "--", sys.executable, __file__, "serve"], stderr=subprocess.PIPE, text=True)

    def until(message):
        for line in master.stderr:
            if message in line:
                return
        sys.exit("the log ends before %r" % message)

    until("every worker ready")
    victim = ask()
    os.kill(victim, signal.SIGSTOP)
    while not open("/proc/%d/stat" % victim).read().rsplit(")")[1].startswith(" T"):
        time.sleep(0.001)
    clients = [threading.Thread(target=ask) for _ in range(12)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    until("worker accepts nobody")
    os.kill(victim, signal.SIGCONT)
    until("worker accepts again")
    # On a busy machine the other one may have been told of, for a moment.
    end = time.monotonic() + 40
    while time.monotonic() < end and victim not in [ask() for _ in range(40)]:
        pass
    print("served again:", time.monotonic() < end)
    master.send_signal(signal.SIGTERM)
    master.stderr.read()
    master.wait()


if sys.argv[1] == "serve":
    serve()
main(sys.argv[1])
