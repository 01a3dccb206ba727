"""How each system is started and told to restart its workers, as its own manual says."""

import os
import pathlib
import subprocess
import textwrap

from bench import HERE, MASTER

PEERS = pathlib.Path(os.environ["DM_PEERS"])
PYTHON = "/usr/bin/python3"
MODULE = [PYTHON, "-m"]
NODE = ["node"]


def environment(**more):
    env = {"PATH": os.environ["PATH"], "HOME": "/tmp", "PYTHONPATH": str(PEERS / "python"),
           "PYTHONDONTWRITEBYTECODE": "1", "NODE_PATH": str(PEERS / "node_modules"), "LANG": "C.UTF-8"}
    env.update({name: str(value) for name, value in more.items()})
    return env


def deploy(folder, version, boot, fate):
    """A release, over the one before: how long it boots, and whether it comes up at all."""
    for site in ("app.py", "app.js", "config.ru"):
        text = (HERE / "sites" / site).read_text()
        text = text.replace("VERSION", version).replace("BOOT", str(boot)).replace("FATE", fate)
        new = folder / (site + ".new")
        new.write_text(text)
        new.rename(folder / site)


class System:
    """A command, and how it reloads: a signal, or a function of the running system."""

    def __init__(self, name, words, reload, env=None, files=None, package=None):
        self.name, self.words, self.reload, self.env = name, words, reload, env or {}
        self.files, self.package = files or {}, package or name

    def prepare(self, folder, port):
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(fill(text, folder, port)))
            path.chmod(0o755)
        words = [fill(word, folder, port) for word in self.words]
        env = environment(**{name: fill(value, folder, port) for name, value in self.env.items()})
        return words, env

    def ask(self, running, folder, port, env):
        if isinstance(self.reload, str):
            running.signal(self.reload)
        else:
            words = [fill(word, folder, port) for word in self.reload]
            subprocess.Popen(words, cwd=folder, env=env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def fill(text, folder, port):
    return str(text).replace("@FOLDER", str(folder)).replace("@PORT", str(port))


def ours(name, *command, **settings):
    env = {"DUTCH_MASTER_" + key: value for key, value in settings.items()}
    env.update({"DUTCH_MASTER_WORKERS": "2", "DUTCH_MASTER_CHDIR": "@FOLDER"})
    env["DUTCH_MASTER_CONTROL"] = "@FOLDER/control.sock"
    return System(name, [MASTER, "--", *command], "SIGUSR2", env, package="dutch-master")


UVICORN = [*MODULE, "uvicorn", "--no-access-log", "--log-level", "warning"]
ADDRESS = "127.0.0.1:@PORT"
UWSGI = ["uwsgi", "--master", "--processes", "2", "--lazy-apps", "--http-socket", ADDRESS,
         "--plugin", "python3", "--wsgi-file", "app.py", "--touch-chain-reload", "@FOLDER/chain",
         "--disable-logging"]
TOUCH = ["touch", "@FOLDER/chain"]
PM2 = str(PEERS / "node_modules/.bin/pm2")

SYSTEMS = [
    ours("dutch-master, gunicorn", *MODULE, "gunicorn", "--preload", "app:wsgi",
         LISTEN="http=" + ADDRESS),
    ours("dutch-master, node", "node", "app.js"),
    ours("dutch-master, node, NODE_KEEPALIVE", "node", "app.js", NODE_KEEPALIVE="on"),
    System("gunicorn, HUP", [*MODULE, "gunicorn", "-w", "2", "-b", ADDRESS, "app:wsgi"], "SIGHUP"),
    System("uvicorn, HUP", [*UVICORN, "--workers", "2", "--port", "@PORT", "app:asgi"], "SIGHUP"),
    System("hypercorn, HUP", [*MODULE, "hypercorn", "-w", "2", "-b", ADDRESS, "app:asgi"], "SIGHUP"),
    System("granian, HUP", [str(PEERS / "python/bin/granian"), "--interface", "asgi", "--workers", "2",
                            "--host", "127.0.0.1", "--port", "@PORT", "app:asgi"], "SIGHUP"),
    System("uwsgi, chain reload", UWSGI, TOUCH, files={"chain": ""}),
    System("uwsgi, chain reload, need-app", [*UWSGI, "--need-app"], TOUCH, files={"chain": ""}),
    System("puma, phased restart", ["puma", "-w", "2", "-t", "4:4", "-b", "tcp://" + ADDRESS], "SIGUSR1"),
    System("circus, reload", [*MODULE, "circus.circusd", "circus.ini"],
           [*MODULE, "circus.circusctl", "--endpoint", "ipc://@FOLDER/c.sock", "reload", "web"],
           files={"circus.ini": """\
               [circus]
               endpoint = ipc://@FOLDER/c.sock
               pubsub_endpoint = ipc://@FOLDER/p.sock
               stats_endpoint = ipc://@FOLDER/s.sock
               [watcher:web]
               cmd = /usr/bin/python3 -m uvicorn --log-level warning --fd $(circus.sockets.web) app:asgi
               use_sockets = True
               copy_env = True
               numprocesses = 2
               [socket:web]
               host = 127.0.0.1
               port = @PORT
               """}),
    System("supervisor, restart", ["supervisord", "-n", "-c", "supervisor.conf"],
           ["supervisorctl", "-c", "supervisor.conf", "restart", "web"],
           files={"supervisor.conf": """\
               [supervisord]
               logfile = /dev/null
               logfile_maxbytes = 0
               pidfile = @FOLDER/supervisord.pid
               [unix_http_server]
               file = @FOLDER/s.sock
               [rpcinterface:supervisor]
               supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
               [supervisorctl]
               serverurl = unix://@FOLDER/s.sock
               [program:web]
               command = /usr/bin/python3 -m uvicorn --log-level warning --port @PORT app:asgi
               """}),
    System("s6, s6-svc -r", ["s6-svscan", "@FOLDER/services"], ["s6-svc", "-r", "@FOLDER/services/web"],
           files={"services/web/run": """\
               #!/bin/sh
               cd @FOLDER
               exec /usr/bin/python3 -m uvicorn --log-level warning --port @PORT app:asgi
               """}),
    System("pm2, reload", [PM2 + "-runtime", "start", "app.js", "-i", "2", "--name", "web"],
           [PM2, "reload", "web"], {"PM2_HOME": "@FOLDER/pm2"}),
    System("recluster, USR2", ["node", "recluster.js"], "SIGUSR2",
           files={"recluster.js": """\
               const cluster = require("recluster")(__dirname + "/app.js", { workers: 2, timeout: 10 });
               cluster.run();
               process.on("SIGUSR2", () => cluster.reload());
               """}),
]
for system in SYSTEMS:
    system.env.setdefault("PORT", "@PORT")
    if system.name.startswith("dutch-master, node"):
        system.env["DUTCH_MASTER_WORKER_ENV_PORT"] = "@PORT"
