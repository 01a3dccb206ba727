//! Unmodified servers, each opening its port by itself: captured, they share it, and not one
//! request is lost however often they are rolled.

use std::env;

use crate::harness::{
    comes_true,
    container::{ADDRESS, Container, Setup},
    load::{Load, Report},
};

/// A connection per request, of which the server knows nothing but the request.
const LOAD: &str = "by=worker one-shot=3 keep-alive=0";
/// What a careful operator takes away; servers want a place for temporary files.
const HARDENED: &str = "--read-only --tmpfs /tmp --cap-drop ALL --user 65534:65534 \
    --security-opt no-new-privileges";

/// A server and nothing else: no listener, no signal, no readiness.
struct Server {
    command: &'static str,
    /// What it is asked for; it must answer with `id={id}`.
    path: &'static str,
    /// Whether its answers say who gave them.
    is_known: bool,
    /// Sends it load, where that is not the strict client.
    client: Option<&'static str>,
    /// Whether all workers share one queue: it must stop gracefully.
    is_shared: bool,
    /// Whether it serves datagrams.
    is_udp: bool,
}

const HTTP: Server = Server {
    command: "",
    path: "/?id={id}",
    is_known: true,
    client: None,
    is_shared: false,
    is_udp: false,
};

// Its listing of a directory names the whole path that was asked for; in this one its threads stand.
const PYTHON: Server = Server {
    command: "/usr/bin/python3 -m http.server --bind 127.0.0.1 --directory /proc/self 8000",
    path: "/task/?id={id}",
    is_known: false,
    ..HTTP
};
const NODE: Server = Server { command: "/usr/bin/node /srv/plain/server.js", ..HTTP };
const UDP: Server = Server {
    command: "/usr/bin/python3 /srv/plain/udp_server.py",
    client: Some("/usr/bin/python3 /srv/plain/load.py udp"),
    is_udp: true,
    ..HTTP
};
const NGINX: Server = Server { command: "nginx -c /srv/plain/nginx.conf", ..HTTP };

impl Server {
    fn setup(&self) -> Setup {
        Setup::command(self.command)
            .options("-e PYTHONPATH=/srv/python:/srv -e PYTHONDONTWRITEBYTECODE=1 -w /srv")
            .set("CONTRACT", "capture")
            .set("WORKERS", "2")
            .set("BALANCE", if self.is_shared { "shared" } else { "slot" })
            .set("CAPTURE_UDP", if self.is_udp { "on" } else { "off" })
    }

    #[track_caller]
    fn loses_nothing(&self) {
        self.loses_nothing_as(&self.setup(), 2, rolls(5));
    }

    #[track_caller]
    fn loses_nothing_as(&self, setup: &Setup, workers: usize, rolls: u32) {
        let container = setup.ready();
        let sockets = if self.is_shared { 1 } else { workers };
        self.has_sockets(&container, sockets);
        let load = self.load(&container);
        for generation in 2..2 + rolls {
            container.signal("SIGUSR2");
            container.next_where(&format!("the roll to {generation}"), |entry| {
                entry.says("roll complete")
                    && entry.field("generation") == Some(generation.to_string())
            });
        }
        container.until("the old workers are gone", |log| {
            let count = |message: &str| log.iter().filter(|entry| entry.says(message)).count();
            count("worker starting") == count("worker exited") + workers
        });
        self.judge(&load.finish(), &container, rolls);
        self.has_sockets(&container, sockets);
        assert_eq!(container.stop().0, 0, "{}", container.tail());
    }

    #[track_caller]
    fn load(&self, container: &Container) -> Load {
        match self.client {
            None => container.load(&format!("{LOAD} path={}", self.path)),
            Some(client) => {
                let options = "-e PYTHONPATH=/srv/python";
                Load::of(&format!("container:{}", container.id()), options, client)
            }
        }
    }

    /// Nothing is lost, and workers do answer: more than one of two, and all but those that a busy
    /// machine gave no time.
    #[track_caller]
    fn judge(&self, report: &Report, container: &Container, rolls: u32) {
        let (failed, total) =
            (report.number("/one_shot/failed"), report.number("/one_shot/requests"));
        println!("{}: {rolls} rolls: {failed} / {total} failed; {report}", self.command);
        assert!(total > 100.0, "too little load: {report}");
        assert!(failed == 0.0, "requests were lost: {report}\n{}", container.tail());
        let started = container.said("worker starting").len();
        let answered = report.answerers();
        assert!(
            !self.is_known || answered.len() >= started - started / 4,
            "{started} were started, and only these have answered: {answered:?}\n{}",
            container.tail()
        );
        assert!(container.said("killing worker").is_empty(), "{}", container.tail());
    }

    /// Waits until so many sockets serve the port, none of them a worker's that has gone.
    #[track_caller]
    fn has_sockets(&self, container: &Container, count: usize) {
        let come = comes_true(|| self.sockets(container) == count);
        assert!(come, "{} sockets\n{}", self.sockets(container), container.tail());
    }

    /// How many sockets serve the port, each of them one worker's unless all share one.
    #[track_caller]
    fn sockets(&self, container: &Container) -> usize {
        let port = ADDRESS.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).unwrap();
        let end = format!("0100007F:{port:04X}");
        let (protocol, state) = if self.is_udp { ("udp", "07") } else { ("tcp", "0A") };
        let tables = ["", "6"].map(|family| {
            container.exec(&["/probe", "cat", &format!("/proc/net/{protocol}{family}")])
        });
        let is_one = |line: &&str| {
            let mut words = line.split_whitespace();
            words.nth(1).is_some_and(|local| local.ends_with(&end)) && words.nth(1) == Some(state)
        };
        tables.iter().flat_map(|table| table.lines()).filter(is_one).count()
    }
}

fn rolls(usual: u32) -> u32 {
    number("ROLLS", usual)
}

fn number(name: &str, usual: u32) -> u32 {
    env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

/// One test a row.
macro_rules! servers {
    ($($name:ident: $server:expr;)*) => {
        $(#[test]
        fn $name() {
            $server.loses_nothing();
        })*
    };
}

servers! {
    python_http_server_shares_its_port_and_loses_nothing: PYTHON;
    asyncio_shares_its_ports_and_loses_nothing: Server {
        command: "/usr/bin/python3 /srv/plain/async_server.py", ..HTTP
    };
    captured_gunicorn_with_sync_workers_loses_nothing: Server {
        command: "/usr/bin/python3 -m gunicorn --bind 127.0.0.1:8000 --workers 2 app:wsgi", ..HTTP
    };
    captured_gunicorn_with_threads_loses_nothing: Server {
        command: "/usr/bin/python3 -m gunicorn --bind 127.0.0.1:8000 --worker-class gthread \
            --threads 4 app:wsgi",
        ..HTTP
    };
    captured_uvicorn_loses_nothing: Server {
        command: "/usr/bin/python3 -m uvicorn --no-access-log app:asgi", ..HTTP
    };
    captured_nginx_loses_nothing: NGINX;
    go_shares_its_port_and_loses_nothing: Server { command: "/srv/go-server", ..HTTP };
    a_server_that_asks_for_mptcp_loses_nothing: Server {
        command: "/usr/bin/python3 /srv/plain/mptcp.py", ..HTTP
    };
    the_http_server_of_java_loses_nothing: Server {
        command: "/srv/java/bin/java -XX:TieredStopAtLevel=1 -cp /srv/classes Plain", ..HTTP
    };
    node_without_cluster_loses_nothing: NODE;
    captured_puma_loses_nothing: Server {
        command: "puma --threads 4:4 --bind tcp://127.0.0.1:8000 /srv/config.ru", ..HTTP
    };
    gunicorn_with_sync_workers_on_a_shared_captured_queue_loses_nothing: Server {
        command: "/usr/bin/python3 -m gunicorn --bind 127.0.0.1:8000 app:wsgi",
        is_shared: true,
        ..HTTP
    };
    puma_on_a_shared_captured_queue_loses_nothing: Server {
        command: "puma --threads 4:4 --bind tcp://127.0.0.1:8000 /srv/config.ru",
        is_shared: true,
        ..HTTP
    };
    the_server_of_php_loses_nothing: Server {
        command: "/usr/bin/php -S 127.0.0.1:8000 /srv/index.php", ..HTTP
    };
    captured_lighttpd_loses_nothing: Server {
        command: "lighttpd -D -f /srv/plain/lighttpd.conf", ..HTTP
    };
    captured_haproxy_loses_nothing: Server {
        command: "haproxy -W -db -f /srv/plain/haproxy.cfg", ..HTTP
    };
    grpc_that_shuts_its_listener_down_loses_nothing: Server {
        command: "/usr/bin/python3 /srv/plain/grpc_server.py",
        client: Some("/usr/bin/python3 /srv/plain/load.py grpc"),
        ..HTTP
    };
    a_server_of_datagrams_loses_nothing: UDP;
}

#[test]
fn hardened_servers_are_captured_as_well() {
    for server in [PYTHON, NODE, NGINX, UDP] {
        server.loses_nothing_as(&server.setup().options(HARDENED), 2, rolls(5));
    }
}

#[test]
fn servers_below_another_user_than_the_masters_are_captured_as_well() {
    for server in [PYTHON, NODE, NGINX, UDP] {
        server.loses_nothing_as(&server.setup().set("USER", "nobody"), 2, rolls(5));
    }
}

#[test]
fn a_long_row_of_rolls_of_four_workers_loses_nothing() {
    let setup = PYTHON.setup().set("WORKERS", "4");
    PYTHON.loses_nothing_as(&setup, 4, number("SOAK", 10));
}
