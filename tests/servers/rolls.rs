//! Each server, rolled five times under load, once on a shared queue and once in slots.

use crate::server::{Idle, Server};

const GUNICORN: Server = Server {
    // READY=1 comes before the workers boot; with --preload the application is there by then.
    command: "/usr/bin/python3 -m gunicorn --preload --workers 2 app:wsgi",
    stop_signal: "TERM",
    ready: "notify",
    idle: Idle::Left,
};

const GUNICORN_THREADS: Server = Server {
    command: "/usr/bin/python3 -m gunicorn --preload --worker-class gthread --threads 4 app:wsgi",
    stop_signal: "TERM",
    ready: "notify",
    idle: Idle::Cut,
};

const UVICORN: Server = Server {
    // On a shared queue it cuts connections that it has accepted and not read: for slots only.
    command: "/usr/bin/python3 -m uvicorn --no-access-log --fd {fd:http} app:asgi",
    stop_signal: "TERM",
    ready: "notify",
    idle: Idle::Cut,
};

const HYPERCORN: Server = Server {
    // For slots only, as uvicorn. Without --workers 0 it starts a process for its only worker.
    command: "/usr/bin/python3 -m hypercorn --workers 0 --bind fd://{fd:http} app:asgi",
    stop_signal: "TERM",
    ready: "notify",
    idle: Idle::Cut,
};

const UWSGI: Server = Server {
    command: "uwsgi-core --ini /srv/uwsgi.ini",
    stop_signal: "TERM",
    ready: "notify",
    idle: Idle::Left,
};

const NGINX: Server = Server {
    command: "nginx -c /srv/nginx.conf",
    stop_signal: "QUIT",
    ready: "delay:300ms",
    idle: Idle::Cut,
};

const HAPROXY: Server = Server {
    command: "haproxy -Ws -f /srv/haproxy.cfg",
    stop_signal: "USR1",
    ready: "notify",
    idle: Idle::Left,
};

const LIGHTTPD: Server = Server {
    command: "lighttpd -D -f /srv/lighttpd.conf",
    stop_signal: "INT",
    ready: "delay:300ms",
    idle: Idle::Cut,
};

const PUMA: Server = Server {
    // The address must be the listener's, else puma closes what it was passed.
    command: "puma --threads 4:4 --bind tcp://{addr:http} /srv/config.ru",
    stop_signal: "TERM",
    ready: "notify",
    idle: Idle::Cut,
};

const PUMA_CLUSTER: Server = Server {
    command: "puma --workers 2 --preload --threads 4:4 --bind tcp://{addr:http} /srv/config.ru",
    stop_signal: "TERM",
    ready: "notify",
    idle: Idle::Cut,
};

const JAVA: Server = Server {
    command: "/srv/java/bin/java -XX:TieredStopAtLevel=1 -cp /srv/classes Server",
    stop_signal: "TERM",
    ready: "notify",
    idle: Idle::Left,
};

const BEHIND_A_SHELL: Server =
    Server { command: "/srv/wrapper.sh", stop_signal: "TERM", ready: "notify", idle: Idle::Left };

const BEHIND_A_LAUNCHER: Server = Server {
    command: "/usr/bin/python3 /srv/wrapper.py /dutch-master exec -- /worker delay=1",
    stop_signal: "TERM",
    ready: "notify",
    idle: Idle::Left,
};

const RUST: Server =
    Server { command: "/worker delay=1", stop_signal: "TERM", ready: "notify", idle: Idle::Left };

#[test]
fn gunicorn_with_sync_workers_loses_nothing_on_a_shared_queue() {
    GUNICORN.loses_nothing_on_a_shared_queue();
}

#[test]
fn gunicorn_with_sync_workers_loses_nothing_in_slots() {
    GUNICORN.loses_nothing_in_slots();
}

#[test]
fn gunicorn_with_threads_loses_nothing_on_a_shared_queue() {
    GUNICORN_THREADS.loses_nothing_on_a_shared_queue();
}

#[test]
fn gunicorn_with_threads_loses_nothing_in_slots() {
    GUNICORN_THREADS.loses_nothing_in_slots();
}

#[test]
fn uvicorn_loses_nothing_in_slots() {
    UVICORN.loses_nothing_in_slots();
}

#[test]
fn hypercorn_loses_nothing_in_slots() {
    HYPERCORN.loses_nothing_in_slots();
}

#[test]
fn uwsgi_loses_nothing_on_a_shared_queue() {
    UWSGI.loses_nothing_on_a_shared_queue();
}

#[test]
fn uwsgi_loses_nothing_in_slots() {
    UWSGI.loses_nothing_in_slots();
}

#[test]
fn nginx_loses_nothing_on_a_shared_queue() {
    NGINX.loses_nothing_on_a_shared_queue();
}

#[test]
fn nginx_loses_nothing_in_slots() {
    NGINX.loses_nothing_in_slots();
}

#[test]
fn haproxy_loses_nothing_on_a_shared_queue() {
    HAPROXY.loses_nothing_on_a_shared_queue();
}

#[test]
fn haproxy_loses_nothing_in_slots() {
    HAPROXY.loses_nothing_in_slots();
}

#[test]
fn lighttpd_loses_nothing_on_a_shared_queue() {
    LIGHTTPD.loses_nothing_on_a_shared_queue();
}

#[test]
fn lighttpd_loses_nothing_in_slots() {
    LIGHTTPD.loses_nothing_in_slots();
}

#[test]
fn puma_loses_nothing_on_a_shared_queue() {
    PUMA.loses_nothing_on_a_shared_queue();
}

#[test]
fn puma_loses_nothing_in_slots() {
    PUMA.loses_nothing_in_slots();
}

#[test]
fn a_puma_cluster_loses_nothing_on_a_shared_queue() {
    PUMA_CLUSTER.loses_nothing_on_a_shared_queue();
}

#[test]
fn a_puma_cluster_loses_nothing_in_slots() {
    PUMA_CLUSTER.loses_nothing_in_slots();
}

#[test]
fn java_on_descriptor_0_loses_nothing_on_a_shared_queue() {
    JAVA.loses_nothing_on_a_shared_queue();
}

#[test]
fn java_on_descriptor_0_loses_nothing_in_slots() {
    JAVA.loses_nothing_in_slots();
}

#[test]
fn a_server_behind_a_shell_loses_nothing_in_slots() {
    BEHIND_A_SHELL.loses_nothing_in_slots();
}

#[test]
fn a_server_behind_a_launcher_loses_nothing_in_slots() {
    BEHIND_A_LAUNCHER.loses_nothing_in_slots();
}

#[test]
fn a_rust_server_loses_nothing_on_a_shared_queue() {
    RUST.loses_nothing_on_a_shared_queue();
}

#[test]
fn a_rust_server_loses_nothing_in_slots() {
    RUST.loses_nothing_in_slots();
}
