"""What the benchmarks share: systems in PID namespaces, the strict client, tables and plots."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
MASTER = os.environ["DM_BINARY"]
TOOLS = pathlib.Path(os.environ["DM_TOOLS"])
ROUNDS = int(os.environ.get("ROUNDS", "3"))
RESULTS = pathlib.Path(os.environ["DM_RESULTS"])


def say(text):
    print(text, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(port, timeout=1.0):
    """The body of one answer, or what went wrong."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as stream:
            stream.sendall(b"GET /?id=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := stream.recv(65536):
                answer += piece
    except OSError as error:
        return f"no answer: {type(error).__name__}"
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        return head.split(b"\r\n")[0].decode(errors="replace") or "no answer"
    return body.decode(errors="replace")


class Running:
    """A program as PID 1 of a PID namespace, as in a container: with it everything else ends."""

    def __init__(self, words, folder, env, log=None):
        unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self.log = open(log or os.devnull, "ab")
        self.outer = subprocess.Popen(
            unshare + words, cwd=folder, env=env, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, start_new_session=True)
        children = f"/proc/{self.outer.pid}/task/{self.outer.pid}/children"
        self.pid = None
        for _ in range(200):
            found = pathlib.Path(children).read_text().split()
            if found:
                self.pid = int(found[0])
                break
            time.sleep(0.01)

    def signal(self, name):
        try:
            os.kill(self.pid, getattr(signal, name))
        except ProcessLookupError:
            pass

    def end(self):
        self.outer.kill()
        self.outer.wait()
        self.log.close()


class Client:
    """The strict client, until told to stop."""

    def __init__(self, port, *options, expect="id={id}."):
        self.process = subprocess.Popen(
            [TOOLS / "strict-client", f"127.0.0.1:{port}", f"expect={expect}", *options],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def report(self):
        self.process.terminate()
        text, _ = self.process.communicate(timeout=60)
        return json.loads(text)


def classes(report):
    """Every class of failure that occurred, with its count, of both kinds of client."""
    found = {}
    for kind in ("one_shot", "keep_alive"):
        for name, count in report[kind]["classes"].items():
            if name != "ok" and count:
                found[name] = found.get(name, 0) + count
    return found


def wait_for(question, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if question():
            return True
        time.sleep(0.02)
    return False


def spread(values, form="{:.1f}"):
    """Median, least and most, as a cell of a table."""
    values = [value for value in values if value is not None]
    if not values:
        return "–"
    middle = form.format(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({form.format(min(values))}–{form.format(max(values))})"


def table(heads, rows):
    print("| " + " | ".join(heads) + " |")
    print("|" + " --- |" * len(heads))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)


def plot(name, title, rows, unit, ours="dutch-master"):
    """Horizontal bars, one a row of (label, value, note); a value of None is a row of its note."""
    width, left, height = 820, 250, 22
    most = max((value for _, value, _ in rows if value is not None), default=0) or 1
    ink, out = "#24292f", []
    full = 46 + height * len(rows)
    out.append(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{full}" '
        f'viewBox="0 0 {width} {full}" font-family="system-ui, sans-serif" font-size="13">')
    out.append(f'<rect width="{width}" height="{full}" fill="#ffffff"/>')
    out.append(f'<text x="12" y="24" font-size="15" font-weight="600" fill="{ink}">{title}</text>')
    for at, (label, value, note) in enumerate(rows):
        y = 38 + at * height
        colour = "#1a7f37" if ours in label else "#8c959f"
        out.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end" fill="{ink}">{label}</text>')
        long = 0 if value is None else (width - left - 230) * value / most
        if value is not None:
            out.append(
                f'<rect x="{left}" y="{y + 3}" width="{max(long, 1):.1f}" height="{height - 8}" '
                f'fill="{colour}"/>')
        told = note if value is None else f"{value:g} {unit}" + (f", {note}" if note else "")
        out.append(f'<text x="{left + long + 6:.1f}" y="{y + 14}" fill="{ink}">{told}</text>')
    out.append("</svg>\n")
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / name).write_text("\n".join(out))
    say(f"plotted {RESULTS / name}")


def scratch():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dutch-master-bench."))
    folder.chmod(0o755)
    return folder


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)


def numbers(text):
    return [int(number) for number in re.findall(r"\d+", text)]
