//! What capture is for: workers that bind the same port, and replacements that nobody notices.

use rustix::process::Signal;

use crate::{
    harness::{Client, Setup, kill},
    load::{Load, ask, at, crowd, descriptors, free_port, server, settles, up, up_with_both},
};

/// So many rolls, or as many as asked for in the environment.
fn rolls(few: usize) -> usize {
    std::env::var("DM_ROLLS").ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

#[test]
fn pythons_own_http_server_is_rolled_under_load_and_loses_nothing() {
    let port = free_port();
    let text = port.to_string();
    let command = ["/usr/bin/python3", "-m", "http.server", &text, "--bind", "127.0.0.1"];
    let mut master = up(Setup::of(&command).set("CONTRACT", "capture").set("WORKERS", "2"));
    let address = master.address();
    assert_eq!(address, at(port));
    let before = descriptors(master.pid());
    let load = http::Load::start(address, 4);
    let rolls = rolls(4);
    for _ in 0..rolls {
        master.roll();
    }
    load.finish();
    master.rewind();
    for _ in 0..rolls * 2 {
        master.next("worker exited");
    }
    settles(master.pid(), before + 2);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn every_worker_gets_its_share_and_a_new_one_nothing_before_it_is_ready() {
    let port = free_port();
    let mut master = up(server("serve", port, "3"));
    assert_eq!(crowd(at(port), 90).len(), 3);
    master.roll();
    let who = crowd(at(port), 90);
    assert_eq!(who.len(), 3);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_slow_request_is_finished_before_its_worker_is_told_to_stop() {
    let port = free_port();
    let mut master = up(server("threaded", port, "1"));
    let old = ask(at(port), "hello").unwrap()[0];
    let mut slow = Client::say(at(port), "hold 4");
    // The request is in the worker's hands once a later one is answered.
    assert_eq!(ask(at(port), "hello").unwrap()[0], old);
    master.roll();
    assert_ne!(ask(at(port), "hello").unwrap()[0], old);
    assert_eq!(slow.answer()[0], old);
    assert_eq!(master.next("worker exited").number("pid"), old);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_worker_that_opens_two_ports_is_ready_when_both_are_open_again() {
    let port = free_port();
    let mut master = up_with_both(server("two", port, "1"), port);
    let load = Load::start(at(port + 1), 2, "hello");
    master.roll();
    load.proceeds(50);
    load.finish().nothing_was_lost();
    let ready = master.so_far().into_iter().rfind(|line| line.says("worker ready"));
    assert!(ready.unwrap().number("after_ms") >= 1500);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_crash_costs_what_the_dead_had_in_hand_and_nothing_else() {
    let port = free_port();
    let mut master = up(server("serve", port, "2"));
    let load = Load::start(at(port), 6, "hello");
    for _ in 0..4 {
        load.proceeds(200);
        let victim = ask(at(port), "hello").unwrap()[0];
        kill(victim, Signal::KILL);
        master.next("worker exited");
        master.next("worker ready");
    }
    load.proceeds(200);
    let tally = load.finish();
    assert!(tally.failures() <= 4, "one in hand for each of the dead: {tally:?}");
    assert!(!tally.failed.keys().any(|what| what.contains("connect")), "{tally:?}");
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn who_connects_while_the_only_worker_is_dead_is_served_by_its_successor() {
    let port = free_port();
    let mut master = up(server("serve", port, "1"));
    for _ in 0..2 {
        master.roll();
        master.next("worker exited");
    }
    let victim = ask(at(port), "hello").unwrap()[0];
    kill(victim, Signal::KILL);
    // One that is dying may still take a connection along.
    master.next("worker exited");
    let waiting: Vec<_> =
        (0..5).map(|_| std::thread::spawn(move || ask(at(port), "hello"))).collect();
    for client in waiting {
        assert_ne!(client.join().unwrap().unwrap()[0], victim);
    }
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_stopping_fleet_refuses_clients_as_soon_as_its_servers_do() {
    let port = free_port();
    let mut master = up(server("closes", port, "1"));
    ask(at(port), "hello").unwrap();
    master.signal(Signal::TERM);
    master.printed("closed");
    let refused = ask(at(port), "hello").unwrap_err();
    assert!(refused.contains("refused"), "{refused}");
    assert_eq!(master.exit_code(), 0, "{}", master.tail());
}

#[test]
fn a_fleet_that_shrinks_and_grows_under_load_loses_nothing() {
    let port = free_port();
    let mut master = up(server("serve", port, "3"));
    let load = Load::start(at(port), 4, "hello");
    for signal in [Signal::TTOU, Signal::TTIN, Signal::TTOU, Signal::TTOU, Signal::TTIN] {
        load.proceeds(100);
        master.signal(signal);
        if signal == Signal::TTOU {
            master.next("worker exited");
        } else {
            master.next("worker ready");
        }
    }
    load.proceeds(100);
    load.finish().nothing_was_lost();
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

/// Clients of an HTTP server.
mod http {
    use std::{
        io::{Read, Write},
        net::{SocketAddr, TcpStream},
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        thread::{self, JoinHandle},
    };

    pub(super) struct Load(Arc<AtomicBool>, Vec<JoinHandle<usize>>);

    impl Load {
        pub(super) fn start(to: SocketAddr, clients: usize) -> Self {
            let over = Arc::new(AtomicBool::new(false));
            let client = |_| {
                let over = Arc::clone(&over);
                thread::spawn(move || {
                    let mut count = 0;
                    while !over.load(Ordering::Relaxed) {
                        let mut stream = TcpStream::connect(to).expect("a connection");
                        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("a request");
                        let mut text = vec![];
                        stream.read_to_end(&mut text).expect("an answer");
                        assert!(text.starts_with(b"HTTP/1.0 200"), "cut after {}", text.len());
                        count += 1;
                    }
                    count
                })
            };
            let clients = (0..clients).map(client).collect();
            Self(over, clients)
        }

        pub(super) fn finish(self) {
            self.0.store(true, Ordering::Relaxed);
            let counts: Vec<usize> =
                self.1.into_iter().map(|client| client.join().expect("nothing lost")).collect();
            eprintln!("{} requests, 0 failed", counts.iter().sum::<usize>());
        }
    }
}
