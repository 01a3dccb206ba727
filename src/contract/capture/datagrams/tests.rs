//! Whose bind goes on when, and which sockets of a port can be closed.

use super::*;
use crate::sys::sockets;

fn call(thread: u32) -> Call {
    Call { id: thread.into(), thread, architecture: 0, number: 0, arguments: [0; 6] }
}

#[test]
fn a_worker_with_many_binds_waiting_keeps_another_waiting_for_one_only() {
    let mut datagrams = Datagrams::default();
    (100..120).for_each(|thread| datagrams.wait(1, call(thread)));
    datagrams.wait(2, call(200));
    datagrams.wait(3, call(300));
    let next = std::iter::from_fn(|| datagrams.next_waiting());
    let threads: Vec<u32> = next.map(|(_, call)| call.thread).collect();
    assert_eq!(threads[..6], [100, 200, 300, 101, 102, 103]);
    assert_eq!(threads.len(), 22);
}

#[test]
fn a_thread_waits_for_one_bind_only() {
    let mut datagrams = Datagrams::default();
    (0..1000).for_each(|_| datagrams.wait(1, call(100)));
    assert_eq!(datagrams.waiting.len(), 1);
}

/// Lanes of a port, of which some get datagrams.
fn group(lanes: &[(u64, bool)]) -> Group {
    let at = sockets::Address::Udp("127.0.0.1:0".parse().unwrap());
    let sockets = sockets::lanes(&at, &sockets::Options::default(), lanes.len()).unwrap();
    let mut group = Group::new(born::datagram_place(sockets[0].as_fd()).unwrap());
    for (&(worker, is_aimed), socket) in lanes.iter().zip(sockets) {
        group.lanes.push(Lane {
            worker: WorkerId::from_number(worker),
            slot: dutch_master::SlotId::from_number(0),
            number: Some(1000),
            process: std::process::id(),
            socket,
            share: if is_aimed { Share::Lives } else { Share::Leaves },
            is_aimed,
            is_late: false,
            gone: (!is_aimed).then_some(Duration::ZERO),
        });
    }
    group
}

fn left(mut group: Group) -> Vec<u64> {
    group.close(|lane| lane.gone.is_some()).unwrap();
    group.lanes.iter().map(|lane| lane.worker.get()).collect()
}

#[test]
fn the_last_one_takes_the_place_of_one_that_goes() {
    assert_eq!(left(group(&[(1, false), (2, true), (3, true)])), [3, 2]);
    assert_eq!(left(group(&[(1, true), (2, false)])), [1]);
    assert_eq!(left(group(&[(1, false), (2, true)])), [2]);
    assert_eq!(left(group(&[(1, false), (2, false)])), Vec::<u64>::new());
}

#[test]
fn one_is_not_closed_while_the_only_one_that_serves_would_change_its_number() {
    let mut stuck = group(&[(1, false), (2, false), (3, true)]);
    stuck.lanes[1].gone = None;
    stuck.close(|lane| lane.gone.is_some()).unwrap();
    assert_eq!(stuck.lanes.len(), 3);
    assert_eq!(stuck.gone_since(), None, "nobody is to wake up for it");
}
