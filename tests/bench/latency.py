"""How long requests take while nothing happens and while one roll follows the other."""

import os
import statistics
import time

import bench
from master import Fleet

SECONDS = float(os.environ.get("ROUND_SECONDS", "6"))
LOAD = ["one-shot=4", "keep-alive=4", "pause=4"]
NODE = """
const http = require("node:http");
http.createServer((request, response) => {
  const id = new URL(request.url, "http://a").searchParams.get("id");
  response.end(`id=${id}. version=v1\\n`);
}).listen(process.env.PORT, "127.0.0.1");
"""


def worker(balance, port):
    command = [str(bench.TOOLS / "worker"), "version=v1", "boot=100", "linger=300"]
    return Fleet(2, command, CONTRACT="systemd", READY="notify", BALANCE=balance, LISTEN=f"http=127.0.0.1:{port}")


def node(_, port):
    script = bench.scratch() / "app.js"
    script.write_text(NODE)
    return Fleet(2, ["node", str(script)], WORKER_ENV_PORT=port, NODE_KEEPALIVE="on")


KINDS = [("shared", worker), ("slot", worker), ("round-robin", node)]


def load(fleet, port, rolls):
    """One report; with `rolls`, one roll follows the other meanwhile."""
    client = bench.Client(port, *LOAD, expect="id={id}")
    end = time.monotonic() + SECONDS
    count = 0
    while time.monotonic() < end:
        if rolls:
            fleet.reload()
            count += 1
        else:
            time.sleep(0.1)
    return client.report(), count


def measure(kind, make):
    port = bench.free_port()
    fleet = make(kind, port)
    try:
        fleet.ready()
        time.sleep(1)
        steady, _ = load(fleet, port, False)
        rolling, count = load(fleet, port, True)
        return {"steady": steady, "rolling": rolling, "rolls": count}
    finally:
        fleet.end()


def main():
    found = {kind: [] for kind, _ in KINDS}
    for turn in range(bench.ROUNDS):
        for kind, make in KINDS:
            result = measure(kind, make)
            found[kind].append(result)
            told = {name: result[name]["latency_us"] for name in ("steady", "rolling")}
            bench.say(f"round {turn + 1}, {kind}: {told}, {result['rolls']} rolls")
    rows, bars = [], []
    for kind, _ in KINDS:
        p99 = {}
        for name in ("steady", "rolling"):
            reports = [result[name] for result in found[kind]]
            cells = [bench.spread([report["latency_us"][key] / 1000 for report in reports], "{:.2f}")
                     for key in ("p50", "p99", "p999")]
            p99[name] = statistics.median([report["latency_us"]["p99"] for report in reports])
            failed = sum(report["failed"] for report in reports)
            requests = sum(report["requests"] for report in reports)
            ratio = f"{p99[name] / p99['steady']:.2f}" if name == "rolling" else ""
            rows.append([kind, name, *cells, ratio, f"{failed} of {requests}"])
            bars.append((f"dutch-master, {kind}, {name}", round(p99[name] / 1000, 2), ""))
    bench.table(["BALANCE", "", "p50 (ms)", "p99 (ms)", "p99.9 (ms)", "p99 to steady", "failed"], rows)
    bench.plot("latency.svg", "p99 of requests, steady and while one roll follows the other", bars, "ms")


main()
