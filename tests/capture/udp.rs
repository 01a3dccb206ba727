//! UDP servers, which no call tells from clients: numbered datagrams, each of which must be answered.

use std::{
    collections::BTreeSet,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    harness::{Setup, kill},
    load::{ask, at, descriptors, free_port, settles, until, up},
};

/// The server's program.
const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/capture/udp.py");
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn server(mode: &str, port: u16, workers: &str) -> Setup {
    Setup::of(&["/usr/bin/python3", SERVER, mode, &port.to_string()])
        .set("CONTRACT", "capture")
        .set("CAPTURE_UDP", "on")
        .set("WORKERS", workers)
}

/// A client with a port of its own.
fn client(to: &str, port: u16) -> UdpSocket {
    let client = UdpSocket::bind(if to.contains(':') { "[::1]:0" } else { "127.0.0.1:0" }).unwrap();
    client.connect((to, port)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Sends a number. Returns pid, slot and generation of who answered it.
fn say(client: &UdpSocket, number: usize) -> Option<[i64; 3]> {
    client.send(number.to_string().as_bytes()).ok()?;
    loop {
        let mut room = [0; 100];
        let length = client.recv(&mut room).ok()?;
        let text = String::from_utf8_lossy(&room[..length]).into_owned();
        let words: Vec<i64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
        if usize::try_from(words[0]) == Ok(number) {
            return Some([words[1], words[2], words[3]]);
        }
    }
}

/// Who answers clients there.
fn crowd(to: &str, port: u16) -> BTreeSet<i64> {
    (0..40).filter_map(|number| Some(say(&client(to, port), number)?[0])).collect()
}

/// Waits until one release answers, which is told to be ready a moment before clients are led to it.
#[track_caller]
fn led(to: &str, port: u16, generation: i64) {
    let is_of = |number| say(&client(to, port), number).is_some_and(|who| who[2] == generation);
    until(|| (0..10).all(is_of));
}

/// Clients that send all the time, each a few datagrams in a row before it waits for the answers.
struct Load {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<usize>>,
}

impl Load {
    fn start(port: u16, clients: usize) -> Self {
        let (over, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let start = |_| {
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            thread::spawn(move || {
                let mut lost = 0;
                while !over.load(Ordering::Relaxed) {
                    lost += burst(port, &answered);
                }
                lost
            })
        };
        let clients = (0..clients).map(start).collect();
        Self { over, answered, clients }
    }

    /// How many were answered and how many never.
    fn finish(self) -> (usize, usize) {
        self.over.store(true, Ordering::Relaxed);
        let lost = self.clients.into_iter().map(|client| client.join().unwrap()).sum();
        (self.answered.load(Ordering::Relaxed), lost)
    }
}

/// Five times eight datagrams of a new client. Returns how many were never answered.
fn burst(port: u16, answered: &AtomicUsize) -> usize {
    let client = client("127.0.0.1", port);
    let mut lost = 0;
    for _ in 0..5 {
        let mut waits: BTreeSet<u8> = (0..8).collect();
        for number in &waits {
            drop(client.send(number.to_string().as_bytes()));
        }
        let mut room = [0; 100];
        while !waits.is_empty() {
            let Ok(length) = client.recv(&mut room) else { break };
            let text = String::from_utf8_lossy(&room[..length]).into_owned();
            waits.remove(&text.split_whitespace().next().unwrap().parse().unwrap());
            answered.fetch_add(1, Ordering::Relaxed);
        }
        lost += waits.len();
    }
    lost
}

/// How many datagrams the kernel has thrown away in this network as somebody's buffer was full.
fn overflows() -> usize {
    let text = std::fs::read_to_string("/proc/net/snmp").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("Udp: "));
    let (names, numbers) = (lines.next().unwrap(), lines.next().unwrap());
    let mut both = names.split_whitespace().zip(numbers.split_whitespace());
    both.find(|(name, _)| *name == "RcvbufErrors").unwrap().1.parse().unwrap()
}

#[test]
fn two_workers_share_a_port_and_each_client_has_one_of_them() {
    let port = free_port();
    let mut master = up(server("serve", port, "2"));
    assert_eq!(crowd("127.0.0.1", port).len(), 2);
    for _ in 0..10 {
        let client = client("127.0.0.1", port);
        let who: BTreeSet<_> = (0..20).map(|number| say(&client, number).unwrap()[0]).collect();
        assert_eq!(who.len(), 1);
    }
    let opened = format!("udp:127.0.0.1:{port}");
    let is_it = |line: &crate::harness::Line| {
        line.says("listening") && line.field("address").as_deref() == Some(&opened)
    };
    master.rewind();
    master.next_where("its place", is_it);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn twenty_rolls_under_load_lose_no_datagram() {
    let port = free_port();
    let mut master = up(server("serve", port, "2"));
    let before = descriptors(master.pid());
    let overflown = overflows();
    let load = Load::start(port, 3);
    for _ in 0..20 {
        master.roll();
    }
    let (answered, lost) = load.finish();
    let overflown = overflows() - overflown;
    println!("{answered} answered, {lost} lost in 20 rolls, {overflown} of them by full buffers");
    assert!(lost <= overflown && answered > 1000, "{lost} lost, {answered} answered");
    settles(master.pid(), before + 2);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_client_stays_with_its_worker_while_another_one_is_replaced() {
    let port = free_port();
    let mut master = up(server("serve", port, "2"));
    let clients: Vec<_> = (0..20).map(|_| client("127.0.0.1", port)).collect();
    let who = || clients.iter().map(|it| say(it, 1).unwrap()).collect::<Vec<_>>();
    let before = who();
    kill(before[0][0], Signal::KILL);
    master.next("worker exited");
    master.next("worker ready");
    // It is ready a moment before its clients are led to it.
    until(|| who().iter().zip(&before).all(|(new, old)| new[1] == old[1]));
    for (old, new) in before.iter().zip(who()) {
        assert_eq!(old[1], new[1]);
        assert_eq!(old[0] == before[0][0], old[0] != new[0]);
    }
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_crashed_workers_clients_are_served_by_others_at_once() {
    let port = free_port();
    let mut master = up(server("serve", port, "2").set("BACKOFF", "50s-60s"));
    let victim = say(&client("127.0.0.1", port), 1).unwrap()[0];
    kill(victim, Signal::KILL);
    master.next("worker exited");
    let who = crowd("127.0.0.1", port);
    assert!(!who.is_empty() && !who.contains(&victim), "{who:?}");
    for number in 0..40 {
        assert!(say(&client("127.0.0.1", port), number).is_some());
    }
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_worker_is_ready_when_it_serves_wherever_the_one_before_it_did() {
    let port = free_port();
    let mut master = up(server("late", port, "1").set("READY", "delay:3s"));
    led("::1", port, 1);
    assert_eq!(master.stop(), 0, "{}", master.tail());
    let port = free_port();
    let mut master = up(server("late", port, "1"));
    // It was ready after the first socket, as nothing was known; from the second one on it is.
    until(|| say(&client("::1", port), 1).is_some());
    master.roll();
    let ready = master.so_far().into_iter().rfind(|line| line.says("worker ready")).unwrap();
    assert!(ready.number("after_ms") >= 1500, "{}", master.tail());
    led("::1", port, 2);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn both_families_one_socket_for_both_and_tcp_on_the_same_port_are_served_and_rolled() {
    for (mode, addresses) in [
        ("families", &["127.0.0.1", "::1"][..]),
        ("dual", &["127.0.0.1", "::1"]),
        ("both", &["127.0.0.1"]),
    ] {
        let port = free_port();
        let mut master = up(server(mode, port, "2"));
        for generation in [1, 2] {
            for to in addresses {
                led(to, port, generation);
                assert_eq!(crowd(to, port).len(), 2, "{mode} {to}");
                assert_eq!(say(&client(to, port), 1).unwrap()[2], generation, "{mode} {to}");
            }
            if mode == "both" {
                until(|| ask(at(port), "hello").unwrap()[2] == generation);
            }
            if generation == 1 {
                master.roll();
            }
        }
        assert_eq!(master.stop(), 0, "{}", master.tail());
    }
}

#[test]
fn five_hundred_clients_leave_nothing_behind() {
    let mut master = up(server("serve", free_port(), "1"));
    let idle = descriptors(master.pid());
    assert_eq!(master.stop(), 0, "{}", master.tail());
    let port = free_port();
    let mut master = up(server("clients", port, "1"));
    master.printed("asked");
    assert!(descriptors(master.pid()) < idle + 70);
    settles(master.pid(), idle);
    assert_eq!(crowd("127.0.0.1", port).len(), 1);
    master.roll();
    master.next("worker exited");
    settles(master.pid(), idle);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_socket_that_was_closed_gets_nothing_when_another_is_opened_in_its_place() {
    let port = free_port();
    let mut master = up(server("reopens", port, "2"));
    for number in 0..40 {
        assert!(say(&client("127.0.0.1", port), number).is_some());
    }
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn processes_of_a_worker_may_have_a_socket_each() {
    let port = free_port();
    let mut master = up(server("prefork", port, "2"));
    until(|| crowd("127.0.0.1", port).len() == 4);
    for generation in 2..5 {
        master.roll();
        led("127.0.0.1", port, generation);
        for number in 0..40 {
            let who = say(&client("127.0.0.1", port), number);
            assert!(who.is_some_and(|who| who[2] == generation), "{who:?}");
        }
    }
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_number_that_was_a_udp_clients_is_a_tcp_servers_right_after() {
    let port = free_port();
    let mut master = up(server("names", port, "2"));
    master.roll();
    until(|| ask(at(port), "hello").unwrap()[2] == 2);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_port_that_is_opened_on_demand_is_not_asked_for() {
    let port = free_port();
    let mut master = up(server("serve", port, "1").set("START_TIMEOUT", "8s"));
    thread::sleep(Duration::from_millis(10_500));
    assert!(say(&client("127.0.0.1", port), 1000).is_some());
    until(|| say(&client("127.0.0.1", port + 1), 1).is_some());
    master.roll();
    led("127.0.0.1", port, 2);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_worker_that_floods_us_with_binds_that_fail_does_not_keep_others_from_theirs() {
    let port = free_port();
    let mut master = up(server("floods", port, "2"));
    master.roll();
    // In the order in which they came, the second release's would have waited for sixty others.
    for _ in 0..4 {
        let text = master.printed("bound after ").text;
        let millis: u64 = text.split_whitespace().last().unwrap().parse().unwrap();
        assert!(millis < 8000, "{text} ms");
    }
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn without_the_setting_udp_is_none_of_our_business() {
    let port = free_port();
    let mut master =
        server("serve", port, "1").set("CAPTURE_UDP", "off").set("READY", "delay:1s").start();
    master.next("every worker ready");
    led("127.0.0.1", port, 1);
    assert!(!master.so_far().iter().any(|line| line.says("listening")), "{}", master.tail());
    assert_eq!(master.stop(), 0, "{}", master.tail());
}
