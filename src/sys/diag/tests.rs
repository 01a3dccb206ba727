//! Drains on loopback: held requests, idle connections, queues.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::AsFd,
};

use nix::{setsockopt_impl, sockopt_impl};

use super::super::{
    clock,
    sockets::{self, Address, Options},
};
use super::*;

const LONG: Duration = Duration::from_secs(3600);

/// Whether nothing that carries the tag on these ports has work left.
fn is_quiet(tag: Tag, ports: &[Port], idle: Duration) -> Result<bool, DiagError> {
    Ok(census(ports)?.load(tag, idle).is_quiet())
}

fn tag(number: u8) -> Tag {
    Tag::new(number).unwrap()
}

/// A tagged listener; where clients connect to it; its port.
struct Server(TcpListener, String, Port);

/// IPv4, IPv6, and an IPv4 client of a socket for both.
const ADDRESSES: [(&str, &str); 3] =
    [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]"), ("[::]:0", "127.0.0.1")];

impl Server {
    fn new((address, client): (&str, &str), number: u8) -> Self {
        let address = Address::Tcp(address.parse().unwrap());
        let fd = sockets::listen(&address, &Options::default()).unwrap();
        set_tag(fd.as_fd(), tag(number)).unwrap();
        let listener = TcpListener::from(fd);
        listener.set_nonblocking(false).unwrap();
        let at = listener.local_addr().unwrap();
        Self(listener, format!("{client}:{}", at.port()), at.into())
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.1).unwrap()
    }

    /// Both ends of an accepted connection, on which a request was read and not answered.
    fn asked(&self) -> (TcpStream, TcpStream) {
        let mut client = self.connect();
        let (mut worker, _) = self.0.accept().unwrap();
        ask(&mut client, &mut worker);
        (client, worker)
    }

    fn load(&self, number: u8, idle: Duration) -> Load {
        census(&[self.2]).unwrap().load(tag(number), idle)
    }

    fn only(&self) -> Connection {
        let census = census(&[self.2]).unwrap();
        let mut accepted = census.connections.into_iter().filter(|found| found.tag.is_some());
        let only = accepted.next().unwrap();
        assert_eq!(accepted.next(), None);
        only
    }
}

fn ask(client: &mut TcpStream, worker: &mut TcpStream) {
    client.write_all(b"GET\n").unwrap();
    worker.read_exact(&mut [0; 4]).unwrap();
}

fn answer(worker: &mut TcpStream, client: &mut TcpStream) {
    worker.write_all(b"OK\n").unwrap();
    client.read_exact(&mut [0; 3]).unwrap();
}

/// Waits for what the kernel does in its own time: acknowledgements, ticks.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let limit = clock::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(clock::now() < limit, "never: {what}");
        std::thread::yield_now();
    }
}

/// Longer than a tick of any kernel, so that before and after can be told.
fn let_a_tick_pass() {
    let then = clock::now() + Duration::from_millis(25);
    until("a tick", || clock::now() > then);
}

#[test]
fn every_tag_is_inherited_and_told_from_all_others() {
    for number in 1..=Tag::COUNT {
        for address in ADDRESSES {
            let server = Server::new(address, number);
            let _held = server.asked();
            let census = census(&[server.2]).unwrap();
            for other in 1..=Tag::COUNT {
                let expected = usize::from(other == number);
                assert_eq!(census.load(tag(other), LONG).busy, expected);
            }
        }
    }
    assert!(Tag::new(0).is_none() && Tag::new(32).is_none());
}

#[test]
fn a_request_that_is_held_is_work_however_long_it_takes() {
    for address in ADDRESSES {
        let server = Server::new(address, 5);
        let (mut client, mut worker) = server.asked();
        let_a_tick_pass();
        let load = server.load(5, Duration::ZERO);
        assert_eq!(load, Load { connections: 1, busy: 1, waiting: 0 });
        answer(&mut worker, &mut client);
        until("the answer is acknowledged", || server.load(5, Duration::ZERO).is_quiet());
        let_a_tick_pass();
        ask(&mut client, &mut worker);
        assert!(server.only().is_owed(), "the second request on a connection");
        assert!(!is_quiet(tag(5), &[server.2], Duration::ZERO).unwrap());
    }
}

#[test]
fn a_connection_kept_alive_is_work_until_it_has_been_idle_for_long_enough() {
    for address in ADDRESSES {
        let server = Server::new(address, 9);
        let (mut client, mut worker) = server.asked();
        answer(&mut worker, &mut client);
        assert!(!is_quiet(tag(9), &[server.2], LONG).unwrap());
        let idle = Duration::from_millis(30);
        until("it has been idle", || is_quiet(tag(9), &[server.2], idle).unwrap());
        let found = server.only();
        assert!(found.received >= idle && found.sent >= idle && !found.is_owed());
        assert_eq!(server.load(9, idle).connections, 1);
    }
}

#[test]
fn a_connection_without_a_request_is_idle_in_time() {
    let server = Server::new(ADDRESSES[0], 3);
    let _client = server.connect();
    let (_worker, _) = server.0.accept().unwrap();
    assert!(!is_quiet(tag(3), &[server.2], LONG).unwrap());
    assert!(is_quiet(tag(3), &[server.2], Duration::ZERO).unwrap());
}

#[test]
fn a_closed_connection_is_nobodys_work() {
    for address in ADDRESSES {
        let server = Server::new(address, 1);
        let (mut client, mut worker) = server.asked();
        worker.write_all(&[b'x'; 1000]).unwrap();
        drop(worker);
        until("it is closed", || server.load(1, LONG) == Load::default());
        let mut text = Vec::new();
        client.read_to_end(&mut text).unwrap();
        assert_eq!(text.len(), 1000);
    }
}

#[test]
fn what_nobody_has_accepted_is_work_even_if_idle() {
    for address in ADDRESSES {
        let server = Server::new(address, 14);
        let _one = server.connect();
        let _two = server.connect();
        let load = server.load(14, Duration::ZERO);
        assert_eq!((load.connections, load.waiting), (2, 2));
        assert!(!load.is_quiet());
        let listener = census(&[server.2]).unwrap().listeners[0];
        assert_eq!(
            (listener.tag, listener.port, listener.waiting),
            (Some(tag(14)), server.2.number, 2)
        );
        let _accepted = (server.0.accept().unwrap(), server.0.accept().unwrap());
        assert!(server.load(14, Duration::ZERO).is_quiet());
    }
}

#[test]
fn unread_and_unsent_bytes_are_work() {
    let server = Server::new(ADDRESSES[0], 6);
    let (mut client, mut worker) = server.asked();
    answer(&mut worker, &mut client);
    client.write_all(b"twelve bytes").unwrap();
    until("they are there", || server.only().unread == 12);
    worker.read_exact(&mut [0; 12]).unwrap();
    worker.set_nonblocking(true).unwrap();
    while worker.write(&[0; 4096]).is_ok() {}
    let_a_tick_pass();
    let found = server.only();
    assert!(found.unsent > 0 && !found.is_owed());
    assert!(!server.load(6, Duration::from_nanos(1)).is_quiet());
    assert!(server.load(6, Duration::ZERO).is_quiet(), "the kernel sends it without the worker");
}

#[test]
fn a_client_that_closed_its_half_may_still_wait_for_its_answer() {
    let server = Server::new(ADDRESSES[0], 7);
    let (mut client, mut worker) = server.asked();
    client.shutdown(Shutdown::Write).unwrap();
    let found = server.only();
    assert_eq!((found.unread, found.is_owed()), (0, true));
    worker.write_all(b"OK\n").unwrap();
    client.read_exact(&mut [0; 3]).unwrap();
    until("the answer is acknowledged", || server.load(7, Duration::ZERO).is_quiet());
}

#[test]
fn connections_keep_their_tag_when_their_listener_gets_another() {
    let server = Server::new(ADDRESSES[1], 2);
    let _before = server.asked();
    set_tag(server.0.as_fd(), tag(30)).unwrap();
    let _after = [server.asked(), server.asked()];
    assert_eq!(server.load(2, LONG).busy, 1);
    assert_eq!(server.load(30, LONG).busy, 2);
}

#[test]
fn lanes_of_one_port_are_told_apart_by_their_tags() {
    let at = Address::Tcp("127.0.0.1:0".parse().unwrap());
    let lanes = sockets::lanes(&at, &Options::default(), 20).unwrap();
    for (lane, number) in lanes.iter().zip(1..) {
        set_tag(lane.as_fd(), tag(number)).unwrap();
    }
    let Address::Tcp(at) = sockets::local_address(lanes[0].as_fd()).unwrap() else { panic!() };
    let _clients: Vec<_> = (0..300).map(|_| TcpStream::connect(at).unwrap()).collect();
    let census = census(&[at.into()]).unwrap();
    for (lane, number) in lanes.iter().zip(1..) {
        let load = census.load(tag(number), Duration::ZERO);
        assert_eq!(load.waiting, sockets::accept_queue(lane.as_fd()).unwrap().length);
        assert_eq!(load.connections, usize::try_from(load.waiting).unwrap());
    }
    let mut cookies: Vec<u64> = census.connections.iter().map(|found| found.cookie).collect();
    cookies.sort_unstable();
    cookies.dedup();
    assert!(cookies.len() >= 300, "every connection has a name of its own");
}

#[test]
fn a_connection_is_found_by_its_name_alone_until_it_is_closed() {
    for address in ADDRESSES {
        let server = Server::new(address, 5);
        let (held, waiting) = (server.asked(), server.connect());
        let all = census(&[server.2]).unwrap();
        let names: Vec<Name> = all.connections.iter().map(|found| found.name).collect();
        let _younger = server.connect();
        let found = look(&names).unwrap();
        let cookies = |census: &Census| -> Vec<u64> {
            census.connections.iter().map(|found| found.cookie).collect()
        };
        assert_eq!((names.len(), cookies(&found)), (2, cookies(&all)), "{}", address.0);
        assert_eq!(found.load(tag(5), LONG).busy, 2, "one owes an answer, one is new");
        assert!(found.listeners.is_empty() && found.half_open.is_empty());
        // Whoever closes first, waits: its name means a connection that is over.
        drop((held.1, held.0));
        until("closed", || look(&names).unwrap().connections.len() == 1);
        drop(waiting);
        assert_eq!(look(&[]).unwrap(), Census::default());
    }
}

sockopt_impl!(
    /// A listener that completes a handshake only when the client has sent something.
    DeferAccept,
    SetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_DEFER_ACCEPT,
    i32
);

#[test]
fn a_handshake_in_progress_is_seen_until_it_is_a_connection() {
    let server = Server::new(ADDRESSES[0], 11);
    setsockopt(&server.0.as_fd(), DeferAccept, &60).unwrap();
    let mut client = server.connect();
    let found = census(&[server.2]).unwrap();
    assert_eq!((found.half_open.len(), found.load(tag(11), LONG)), (1, Load::default()));
    assert_eq!(census(&[server.2]).unwrap().half_open, found.half_open);
    client.write_all(b"GET\n").unwrap();
    let found = census(&[server.2]).unwrap();
    assert!(found.half_open.is_empty());
    assert_eq!(found.load(tag(11), LONG), Load { connections: 1, busy: 1, waiting: 1 });
}

#[test]
fn other_ports_do_not_count() {
    let (one, two) = (Server::new(ADDRESSES[0], 8), Server::new(ADDRESSES[0], 8));
    let _held = one.asked();
    assert!(is_quiet(tag(8), &[two.2], LONG).unwrap());
    assert!(!is_quiet(tag(8), &[two.2, one.2], LONG).unwrap());
    assert!(is_quiet(tag(8), &[], LONG).unwrap());
}
