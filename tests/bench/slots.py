"""A queue for each worker against one for all: the same servers, the same load, both ways."""

import json
import os
import statistics
import subprocess
import time

import bench
from master import Fleet

SECONDS = float(os.environ.get("ROUND_SECONDS", "6"))
WORKERS = 4
LOOP = """
const http = require("node:http");
http.createServer((request, response) => {
  response.end(`id=${new URL(request.url, "http://a").searchParams.get("id")}.\\n`);
}).listen({ fd: 3 });
"""
# One request at a time, which takes its time.
BLOCKING = """
import socket, time, urllib.parse
listener = socket.socket(fileno=3)
while True:
    client = listener.accept()[0]
    head = client.recv(65536).decode()
    name = head.split("id=")[1].split()[0].split("&")[0] if "id=" in head else ""
    time.sleep(0.005)
    body = f"id={name}.\\n"
    client.sendall(f"HTTP/1.1 200 OK\\r\\nContent-Length: {len(body)}\\r\\nConnection: close\\r\\n\\r\\n{body}".encode())
    client.close()
"""
LOADS = [
    ("event loops, a connection per request", ["node", LOOP], ["one-shot=16"]),
    ("event loops, 64 kept connections", ["node", LOOP], ["keep-alive=64"]),
    ("one blocking request at a time", ["/usr/bin/python3", BLOCKING], ["one-shot=8"]),
]


def measure(balance, program, load):
    """Requests a second, p50 and p99 in ms, failures, and most to fewest connections of a worker."""
    port = bench.free_port()
    script = bench.scratch() / "server"
    script.write_text(program[1])
    fleet = Fleet(WORKERS, [program[0], str(script)], CONTRACT="systemd", READY="delay:1s", BALANCE=balance,
                  LISTEN=f"http=127.0.0.1:{port}")
    try:
        fleet.ready()
        client = bench.Client(port, *load, expect="id={id}")
        time.sleep(SECONDS)
        told = subprocess.run([bench.MASTER, "status", "--json"], env=fleet.env, capture_output=True, check=True)
        spread = [worker["connections"] for worker in json.loads(told.stdout)["workers"]]
        report = client.report()
        latency = report["latency_us"]
        return {"rate": report["requests"] / SECONDS, "p50": latency["p50"] / 1000, "p99": latency["p99"] / 1000,
                "failed": report["failed"], "spread": spread}
    finally:
        fleet.end()


def main():
    rows = []
    for name, program, load in LOADS:
        found = {"shared": [], "slot": []}
        for turn in range(bench.ROUNDS):
            for balance, results in found.items():
                results.append(measure(balance, program, load))
                bench.say(f"round {turn + 1}, {name}, {balance}: {results[-1]}")
        middle = {balance: {key: statistics.median([result[key] for result in results])
                            for key in ("rate", "p50", "p99")} for balance, results in found.items()}
        for balance, results in found.items():
            cells = [bench.spread([result[key] for result in results], form)
                     for key, form in (("rate", "{:.0f}"), ("p50", "{:.2f}"), ("p99", "{:.2f}"))]
            ratios = [f"{middle[balance][key] / middle['shared'][key]:.2f}" for key in ("rate", "p50", "p99")]
            spread = " · ".join("/".join("–" if count is None else str(count) for count in result["spread"]) for result in results)
            rows.append([name, balance, *cells, " / ".join(ratios), spread, sum(result["failed"] for result in results)])
    bench.table(["load", "BALANCE", "requests/s", "p50 (ms)", "p99 (ms)", "to shared (rate / p50 / p99)",
                 "connections of each worker", "failed"], rows)


main()
