//! Relays between a client and a server on this machine.
#![cfg(test)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use super::*;

/// A client, a server, and the relay between them.
struct Line {
    client: TcpStream,
    server: TcpStream,
    relay: Relay,
    poll: Poll,
}

fn line() -> Line {
    let front = TcpListener::bind("127.0.0.1:0").unwrap();
    let back = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(front.local_addr().unwrap()).unwrap();
    let taken = OwnedFd::from(front.accept().unwrap().0);
    rustix::io::ioctl_fionbio(&taken, true).unwrap();
    let (leg, port) = bind("127.0.0.1".parse().unwrap()).unwrap();
    connect(leg.as_fd(), back.local_addr().unwrap()).unwrap();
    let (server, from) = back.accept().unwrap();
    assert_eq!(from.port(), port);
    Line { client, server, relay: Relay::new(taken, leg), poll: Poll::new().unwrap() }
}

impl Line {
    fn turn(&mut self) -> bool {
        self.relay.turn(&mut [0; CHUNK], &self.poll, 7)
    }

    /// Turns as often as there is something to do: on a busy machine the kernel delivers it a while
    /// later. False once it is over.
    fn settle(&mut self) -> bool {
        while self.turn() {
            if self.poll.wait(Some(Duration::from_millis(200))).unwrap().is_empty() {
                return true;
            }
        }
        false
    }
}

#[test]
fn bytes_go_both_ways_and_an_end_is_passed_on_as_one() {
    let mut line = line();
    line.client.write_all(b"question").unwrap();
    line.client.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(line.settle());
    let mut text = String::new();
    line.server.read_to_string(&mut text).unwrap();
    assert_eq!(text, "question");
    line.server.write_all(b"answer").unwrap();
    assert!(line.settle(), "the server may say more");
    drop(line.server.try_clone().unwrap());
    line.server.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(!line.settle());
    drop(line.relay);
    let mut text = String::new();
    line.client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "answer");
}

#[test]
fn a_broken_connection_is_broken_at_the_other_end_too() {
    for is_client in [true, false] {
        let mut line = line();
        line.client.write_all(b"x").unwrap();
        assert!(line.settle());
        line.server.read_exact(&mut [0]).unwrap();
        let (breaks, mut sees) = if is_client {
            (line.client.try_clone().unwrap(), line.server.try_clone().unwrap())
        } else {
            (line.server.try_clone().unwrap(), line.client.try_clone().unwrap())
        };
        sockopt::set_socket_linger(&breaks, Some(Duration::ZERO)).unwrap();
        let Line { client, server, mut relay, mut poll } = line;
        drop((breaks, client, server));
        let mut turns = 0;
        while relay.turn(&mut [0; CHUNK], &poll, 7) {
            turns += 1;
            assert!(turns < 50);
            poll.wait(Some(Duration::from_millis(200))).unwrap();
        }
        drop(relay);
        let error = sees.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_reader_that_stalls_stalls_the_writer_and_little_is_held() {
    let mut line = line();
    let mut writer = line.client.try_clone().unwrap();
    let bytes: Vec<u8> = (0..20 << 20).map(|at: u32| at.to_le_bytes()[1]).collect();
    let sent = thread::spawn(move || {
        writer.write_all(&bytes).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
        bytes
    });
    while line.relay.leg.pending.is_empty() {
        assert!(line.settle());
    }
    assert!(line.relay.leg.pending.len() <= CHUNK);
    assert!(line.relay.leg.pending.capacity() <= 2 * CHUNK);
    let mut reader = line.server.try_clone().unwrap();
    let got = thread::spawn(move || {
        let mut bytes = vec![];
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    });
    while !got.is_finished() {
        assert!(line.turn());
        line.poll.wait(Some(Duration::from_millis(20))).unwrap();
    }
    assert!(sent.join().unwrap() == got.join().unwrap());
}

#[test]
fn a_relay_with_nothing_to_do_wakes_nobody() {
    let mut line = line();
    line.client.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(line.settle());
    assert_eq!(line.poll.wait(Some(Duration::from_millis(50))).unwrap(), []);
}

#[test]
fn a_leg_that_nobody_takes_breaks_the_client() {
    let back = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = back.local_addr().unwrap();
    drop(back);
    let front = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(front.local_addr().unwrap()).unwrap();
    let (leg, _) = bind(nobody.ip()).unwrap();
    let _ = connect(leg.as_fd(), nobody);
    let mut relay = Relay::new(front.accept().unwrap().0.into(), leg);
    assert!(!relay.turn(&mut [0; CHUNK], &Poll::new().unwrap(), 7));
    drop(relay);
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}
