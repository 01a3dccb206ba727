"""What the master costs with 1 to 1000 workers, and how long a roll takes beside what it must."""

import math
import os
import time

import bench
from master import Fleet

START = 0.5
SIZES = [int(word) for word in os.environ.get("SIZES", "1 10 100 1000").split()]
ROLLS = int(os.environ.get("ROLLS", "10"))
WORKER = [str(bench.TOOLS / "worker"), f"boot={START * 1000:.0f}"]


def fleet(workers, surge):
    return Fleet(workers, WORKER, CONTRACT="plain", READY="notify", SURGE=surge, KILL_TIMEOUT="10s")


def measure(workers):
    surge = max(1, workers // 20)
    seen = fleet(workers, surge)
    try:
        seen.ready()
        seen.settle(workers)
        start = max(line["after_ms"] for line in seen.said("worker ready")) / 1000
        memory, cpu, wakes = seen.status("VmRSS"), seen.cpu(), seen.status("voluntary_ctxt_switches")
        time.sleep(5)
        idle, woken = (seen.cpu() - cpu) / 5, seen.status("voluntary_ctxt_switches") - wakes
        cpu = seen.cpu()
        took = seen.roll()
        seen.settle(workers)
        spent = seen.cpu() - cpu
        starts = [line["after_ms"] / 1000 for line in seen.said("worker ready")[workers:]]
        # The first one alone, then the others, so many at a time, each as long as most take.
        must = bench.statistics.median(starts) * (1 + math.ceil((workers - 1) / surge))
        return {"surge": surge, "memory": memory, "idle": idle * 100, "woken": woken, "took": took,
                "must": must, "ratio": took / must, "each": spent / workers * 1e6, "boot": start,
                "after": seen.status("VmRSS")}
    finally:
        seen.end()


def rolls(workers):
    """Memory after each of many rolls of many workers."""
    seen = fleet(workers, workers // 4)
    try:
        seen.ready()
        seen.settle(workers)
        memory, cpu = [seen.status("VmRSS")], seen.cpu()
        for turn in range(ROLLS):
            seen.roll()
            seen.settle(workers)
            memory.append(seen.status("VmRSS"))
            bench.say(f"roll {turn + 1} of {workers} workers: {memory[-1]} KiB")
        return memory, seen.cpu() - cpu
    finally:
        seen.end()


def main():
    found = {size: [] for size in SIZES}
    for turn in range(bench.ROUNDS):
        for size in SIZES:
            found[size].append(measure(size))
            bench.say(f"round {turn + 1}, {size} workers: {found[size][-1]}")
    print(f"A worker needs {START} s to start. Idle: over 5 s. The time that a roll must take is the median")
    print("start, times (1 + (workers - 1) / SURGE): the canary alone, then SURGE at a time.\n")
    columns = [("idle CPU (%)", "idle", "{:.3f}"), ("wake-ups idle", "woken", "{:.0f}"),
               ("memory (KiB)", "memory", "{:.0f}"), ("after a roll (KiB)", "after", "{:.0f}"),
               ("CPU a replacement (µs)", "each", "{:.0f}"), ("roll (s)", "took", "{:.2f}"),
               ("must take (s)", "must", "{:.2f}"), ("ratio", "ratio", "{:.2f}")]
    rows = []
    for size in SIZES:
        cells = [bench.spread([result[key] for result in found[size]], form) for _, key, form in columns]
        rows.append([size, found[size][0]["surge"], *cells])
    bench.table(["workers", "SURGE", *[head for head, _, _ in columns]], rows)
    bars = [(f"dutch-master, {size} workers", round(bench.statistics.median(
        [result["after"] for result in found[size]])), "") for size in SIZES]
    if ROLLS:
        size = max(SIZES)
        memory, cpu = rolls(size)
        print(f"{ROLLS} rolls of {size} workers, {ROLLS * size} replacements: memory (KiB) "
              f"{', '.join(map(str, memory))}; {cpu / (ROLLS * size) * 1e6:.0f} µs of CPU a replacement.\n")
    bench.plot("scale.svg", "The master's resident memory after a roll", bars, "KiB")


main()
