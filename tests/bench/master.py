"""dutch-master with the tests' own worker, and what the kernel says of both."""

import json
import os
import pathlib
import subprocess
import time

import bench


class Fleet:
    """So many workers, rolled by hand."""

    def __init__(self, workers, command, **settings):
        self.folder = bench.scratch()
        self.log = self.folder / "log"
        self.control = self.folder / "control.sock"
        env = {"PATH": os.environ["PATH"], "DUTCH_MASTER_WORKERS": str(workers),
               "DUTCH_MASTER_CONTROL": str(self.control), "DUTCH_MASTER_LOG_FORMAT": "json"}
        env.update({"DUTCH_MASTER_" + name: str(value) for name, value in settings.items()})
        self.env = env
        self.running = bench.Running([bench.MASTER, "--", *command], self.folder, env, self.log)
        self.generation = 1

    def said(self, message):
        """Every line of the log with this message."""
        mark = f'"message":"{message}"'
        with open(self.log, encoding="utf-8", errors="replace") as lines:
            return [json.loads(line) for line in lines if mark in line]

    def wait_for(self, message, count, seconds):
        is_over = lambda: self.running.outer.poll() is not None
        bench.wait_for(lambda: is_over() or len(self.said(message)) >= count, seconds)
        if len(self.said(message)) < count:
            tail = self.log.read_text(errors="replace").splitlines()[-3:]
            raise TimeoutError(f"no {message!r} number {count} within {seconds} s: {tail}")

    def ready(self, seconds=120):
        self.wait_for("every worker ready", 1, seconds)
        return self

    def roll(self, seconds=180):
        """Seconds from the request until every worker was ready."""
        self.generation += 1
        began = time.monotonic()
        self.running.signal("SIGUSR2")
        self.wait_for("every worker ready", self.generation, seconds)
        return time.monotonic() - began

    def settle(self, workers, seconds=120):
        """Until nobody is left but the newest workers."""
        children = pathlib.Path(f"/proc/{self.running.pid}/task/{self.running.pid}/children")
        bench.wait_for(lambda: len(children.read_text().split()) == workers, seconds)
        time.sleep(3)

    def cpu(self):
        """Seconds of CPU that the master has had, to the nanosecond."""
        text = pathlib.Path(f"/proc/{self.running.pid}/schedstat").read_text()
        return int(text.split()[0]) / 1e9

    def status(self, name):
        text = pathlib.Path(f"/proc/{self.running.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith(name + ":"))
        return int(line.split()[1])

    def reload(self):
        words = [bench.MASTER, "reload", "--timeout", "60s"]
        done = subprocess.run(words, env=self.env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)

    def end(self):
        self.running.end()
        bench.remove(self.folder)
