//! Workers that mean harm, played by the test itself on the other end of the channel: each costs
//! only itself.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed")]

use std::{
    io::{IoSlice, Write},
    mem::MaybeUninit,
    net::{Ipv6Addr, TcpStream},
    os::unix::net::UnixStream,
};

use dutch_master::wire::node::{Fault, LINE_LIMIT};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::*;

const GOOD: WorkerId = WorkerId::from_number(1);
const BAD: WorkerId = WorkerId::from_number(2);

/// A cluster with a worker that behaves and one that will not.
struct Pair {
    cluster: Cluster,
    good: UnixStream,
    bad: UnixStream,
    port: u16,
    news: Vec<News>,
}

const ONLINE: &str = r#"{"cmd":"NODE_CLUSTER","act":"online","seq":0}"#;
const QUERY: &str = r#"{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"::1","port":0,"addressType":6,"flags":1,"backlog":0,"seq":1}"#;

impl Pair {
    fn new() -> Self {
        let mut cluster = Cluster::new(Options::default(), BTreeMap::new()).unwrap();
        let mut ends = [GOOD, BAD]
            .map(|worker| UnixStream::from(cluster.join(clock::now(), worker, None).unwrap()));
        for end in &mut ends {
            end.set_nonblocking(true).unwrap();
            end.write_all(format!("{ONLINE}\n{QUERY}\n").as_bytes()).unwrap();
        }
        let [good, bad] = ends;
        let mut pair = Self { cluster, good, bad, port: 0, news: vec![] };
        pair.turn();
        let opened = pair.news.iter().find_map(|news| match news {
            News::Opened(at) => at.rsplit(':').next()?.parse().ok(),
            _ => None,
        });
        pair.port = opened.unwrap();
        let listening = QUERY.replace("queryServer", "listening");
        let listening = listening.replace("\"port\":0", &format!("\"port\":{}", pair.port));
        for mut end in [&pair.good, &pair.bad] {
            end.write_all(format!("{listening}\n").as_bytes()).unwrap();
        }
        pair.turn();
        pair
    }

    fn turn(&mut self) {
        self.cluster.turn(clock::now());
        self.news.extend(self.cluster.take_news());
    }

    /// Writes what the master's side takes, in turns with it.
    fn say(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.bad.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(fault) if fault.kind() == std::io::ErrorKind::WouldBlock => self.turn(),
                // It has been shown the door.
                Err(_) => return,
            }
        }
        // A channel is read once a turn; what its buffer holds takes a few.
        for _ in 0..16 {
            self.turn();
        }
    }

    fn was_given_up(&self, misdeed: Misdeed) -> bool {
        self.news.iter().any(|news| matches!(news, News::GaveUp(BAD, its) if *its == misdeed))
    }

    /// A client comes, and the good worker takes it.
    fn still_serves(&mut self) {
        let _client = TcpStream::connect((Ipv6Addr::LOCALHOST, self.port)).unwrap();
        self.turn();
        self.turn();
        let handed = |member: &MemberView| member.member == GOOD.get() && member.connections > 0;
        assert!(self.cluster.members().any(|member| handed(&member)));
        self.good.write_all(b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n").unwrap();
        self.good
            .write_all(b"{\"cmd\":\"NODE_CLUSTER\",\"ack\":0,\"accepted\":true,\"seq\":2}\n")
            .unwrap();
        self.turn();
        assert!(self.cluster.connections.is_empty());
        assert!(!self.news.iter().any(|news| matches!(news, News::GaveUp(GOOD, _))));
    }

    fn ends(mut self, misdeed: Misdeed) {
        assert!(self.was_given_up(misdeed), "{:?}", self.news);
        self.still_serves();
        self.cluster.exited(clock::now(), BAD);
        assert_eq!(self.cluster.peers.len(), 1);
    }
}

#[test]
fn garbage_ends_the_worker_that_sends_it() {
    let mut pair = Pair::new();
    pair.say(&b"garbage\n".repeat(200));
    pair.ends(Misdeed::Babble(Fault::TooManyMalformed));
}

#[test]
fn a_line_without_end_ends_the_worker_that_sends_it() {
    let mut pair = Pair::new();
    pair.say(&vec![b'['; LINE_LIMIT + (64 << 10)]);
    pair.ends(Misdeed::Babble(Fault::LineTooLong));
}

#[test]
fn answers_to_nothing_end_the_worker_that_gives_them() {
    let mut pair = Pair::new();
    pair.say(b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n");
    pair.ends(Misdeed::AnswersUnasked);
}

#[test]
fn a_worker_that_asks_and_never_reads_ends_at_the_queues_limit() {
    let mut pair = Pair::new();
    let query = QUERY.replace("\"addressType\":6", "\"addressType\":7");
    // Each is answered, and nobody reads the answers.
    for _ in 0..12 {
        pair.say(format!("{query}\n").repeat(8000).as_bytes());
        let later = pair.cluster.now + Duration::from_secs(2);
        pair.cluster.tick(later);
    }
    pair.ends(Misdeed::ReadsNothing);
}

#[test]
fn descriptors_that_nobody_claims_end_the_worker_that_sends_them() {
    let mut pair = Pair::new();
    let (stray, _other) = UnixStream::pair().unwrap();
    pair.say(b"{");
    for _ in 0..20 {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds = [stray.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        let flags = SendFlags::NOSIGNAL;
        // It may have been shown the door by now.
        let _ = sendmsg(&pair.bad, &[IoSlice::new(b" ")], &mut ancillary, flags);
        pair.turn();
    }
    assert!(pair.cluster.peers[&BAD.get()].descriptors.is_empty());
    pair.ends(Misdeed::TooManyDescriptors);
}

#[test]
fn a_flood_is_not_listened_to_for_long() {
    let mut pair = Pair::new();
    for _ in 0..20 {
        let _ = pair.bad.write(&b"1\n".repeat(10_000));
        pair.turn();
    }
    assert!(!pair.cluster.peers[&BAD.get()].is_heard);
    pair.still_serves();
    let later = pair.cluster.now + Duration::from_secs(2);
    pair.cluster.tick(later);
    assert!(pair.cluster.peers[&BAD.get()].is_heard);
}

#[test]
fn keys_that_are_not_its_own_cannot_be_closed_by_a_liar() {
    let mut pair = Pair::new();
    pair.say(b"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\",\"key\":\"::1:0:6::0\",\"seq\":5}\n");
    pair.say(b"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\",\"key\":\"no such key\",\"seq\":6}\n");
    pair.still_serves();
}

#[test]
fn a_connection_that_a_worker_sits_on_goes_on_when_it_dies() {
    let mut pair = Pair::new();
    // The good one has its own to answer first.
    let _clients: Vec<TcpStream> =
        (0..2).map(|_| TcpStream::connect((Ipv6Addr::LOCALHOST, pair.port)).unwrap()).collect();
    pair.turn();
    pair.turn();
    assert_eq!(pair.cluster.connections.len(), 2);
    let census = pair.cluster.census().unwrap();
    let counts = [GOOD, BAD].map(|worker| pair.cluster.connections(worker, &census));
    assert_eq!(counts, [Some(1), Some(1)]);
    pair.cluster.exited(clock::now(), BAD);
    pair.good.write_all(b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n").unwrap();
    pair.good
        .write_all(b"{\"cmd\":\"NODE_CLUSTER\",\"ack\":0,\"accepted\":true,\"seq\":2}\n")
        .unwrap();
    pair.turn();
    let view = pair.cluster.members().find(|member| member.member == GOOD.get()).unwrap();
    assert_eq!((view.connections, view.unanswered), (2, 1));
    assert_eq!(pair.cluster.rescued(), 1);
}

#[test]
fn a_flooder_that_dies_while_nobody_listens_is_heard_to_its_end_at_once() {
    let mut pair = Pair::new();
    while pair.cluster.peers[&BAD.get()].is_heard {
        let _ = pair.bad.write(&b"1\n".repeat(10_000));
        pair.turn();
    }
    pair.bad.shutdown(std::net::Shutdown::Both).unwrap();
    pair.turn();
    assert!(pair.cluster.peers[&BAD.get()].channel.is_none());
    // A hang-up that nobody collects would wake the loop for ever.
    assert!(pair.cluster.poll.wait(Some(Duration::ZERO)).unwrap().is_empty());
    pair.still_serves();
}

#[test]
fn a_child_that_writes_on_when_its_worker_is_dead_holds_up_nobody() {
    let mut pair = Pair::new();
    let mut child = pair.bad.try_clone().unwrap();
    child.set_nonblocking(false).unwrap();
    let writer = thread::spawn(move || {
        let limit = clock::now() + Duration::from_secs(60);
        while clock::now() < limit && child.write_all(&b"1\n".repeat(10_000)).is_ok() {}
    });
    let before = clock::now();
    pair.cluster.exited(before, BAD);
    assert!(clock::now() < before + Duration::from_secs(30), "for as long as it writes");
    pair.still_serves();
    writer.join().unwrap();
}

#[test]
fn servers_are_shown_as_they_were_asked_for() {
    let mut pair = Pair::new();
    // Nobody takes the third: each worker has one to answer.
    let _clients: Vec<TcpStream> =
        (0..3).map(|_| TcpStream::connect((Ipv6Addr::LOCALHOST, pair.port)).unwrap()).collect();
    pair.turn();
    pair.turn();
    let queues: Vec<_> = pair.cluster.queues().collect();
    let [(name, Some(queue))] = &queues[..] else { panic!("{queues:?}") };
    assert_eq!((name.as_str(), queue.length, queue.limit > 0), ("[::1]:0", 1, true));
}
