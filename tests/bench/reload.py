"""Reloads under load: what each system's clients see of a good, a broken and a hanging release."""

import sys
import time

import bench
import peers

# Name, seconds to boot, fate, seconds watched after the reload.
SCENARIOS = [
    ("good, boots 2 s", 2, "good", 7),
    ("good, boots 9 s", 9, "good", 20),
    ("broken", 1, "broken", 6),
    ("hanging", 0, "hanging", 8),
]


def run(system, boot, fate, watched):
    """One reload; a dictionary of what was seen."""
    folder = bench.scratch()
    port = bench.free_port()
    log = folder / "log"
    try:
        peers.deploy(folder, "v1", 0.1, "good")
        words, env = system.prepare(folder, port)
        running = bench.Running(words, folder, env, log)
        try:
            if not bench.wait_for(lambda: "version=v1" in bench.get(port), 30):
                last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing"]
                return {"problem": f"did not start: {last[0][:160]}"}
            time.sleep(2)
            client = bench.Client(port, "one-shot=6", "keep-alive=4", "pause=5", "by=version",
                                  "timeout=5000")
            time.sleep(1)
            peers.deploy(folder, "v2", boot, fate)
            system.ask(running, folder, port, env)
            time.sleep(watched)
            report = client.report()
            answers = [bench.get(port) for _ in range(8)]
        finally:
            running.end()
    finally:
        bench.remove(folder)
    serves = sorted({word for text in answers for word in text.split() if word.startswith("version=")}
                    or set(answers))
    return {"failed": report["failed"], "requests": report["requests"], "gap": report["gap_ms"] / 1000,
            "classes": bench.classes(report), "serves": ", ".join(serves).replace("version=", "")}


def row(name, results):
    problems = [result["problem"] for result in results if "problem" in result]
    good = [result for result in results if "problem" not in result]
    if not good:
        return [name, problems[0], "", "", ""]
    failed = {}
    for result in good:
        for kind, count in result["classes"].items():
            failed.setdefault(kind, []).append(count)
    told = ", ".join(f"{kind} {bench.spread(counts + [0] * (len(good) - len(counts)), '{:.0f}')}"
                     for kind, counts in sorted(failed.items()))
    ends = " / ".join(sorted({result["serves"] for result in good}))
    if problems:
        ends += f"; {len(problems)} of {len(results)} runs: {problems[0]}"
    return [name, bench.spread([result["failed"] for result in good], "{:.0f}"), told or "–",
            bench.spread([result["gap"] for result in good], "{:.2f}"), ends]


def main():
    wanted = [word for word in sys.argv[1:]]
    systems = [system for system in peers.SYSTEMS
               if not wanted or any(word in system.name for word in wanted)]
    found = {}
    for turn in range(bench.ROUNDS):
        for scenario in SCENARIOS:
            for system in systems:
                result = run(system, *scenario[1:])
                bench.say(f"round {turn + 1}, {scenario[0]}, {system.name}: {result}")
                found.setdefault((scenario[0], system.name), []).append(result)
    for scenario in SCENARIOS:
        print(f"### {scenario[0]}\n")
        bench.table(["system", "failed requests", "of which", "longest gap (s)", "what serves at the end"],
                    [row(system.name, found[(scenario[0], system.name)]) for system in systems])
    bars = []
    for system in systems:
        worst, seen = 0, set()
        for scenario in SCENARIOS:
            for result in found[(scenario[0], system.name)]:
                if result.get("failed"):
                    seen.add(scenario[0].split(",")[0] if scenario[2] != "good" else scenario[0])
                worst += result.get("failed", 0)
        bars.append((system.name, worst / bench.ROUNDS, "lost in: " + "; ".join(sorted(seen)) if seen else ""))
    bench.plot("reload.svg", "Requests lost in four reloads under load (2 s and 9 s boot, broken, hanging)",
               [(name, round(count), note) for name, count, note in bars], "lost")


main()
