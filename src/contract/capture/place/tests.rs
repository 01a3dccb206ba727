//! Tests of a place's sockets against the kernel: who gets a connection is seen in the queues.

use std::net::TcpStream;

use super::*;
use crate::sys::sockets::born;

const NOW: Duration = Duration::from_secs(100);
const LATER: Duration = Duration::from_secs(200);

fn worker(number: u64) -> WorkerId {
    WorkerId::from_number(number)
}

/// A place with so many workers, who are 1, 2 and so on, none of whom lives yet.
fn place(workers: u64) -> Group {
    let first = listening("127.0.0.1:0".parse().unwrap());
    let place = born::place(first.as_fd()).unwrap();
    let mut group = Group {
        number: 0,
        place,
        lanes: Vec::new(),
        guests: Vec::new(),
        is_lasting: true,
        is_shared: false,
    };
    group.join(lane(1, first)).unwrap();
    for number in 2..=workers {
        join(&mut group, number);
    }
    group
}

fn poll() -> Poll {
    Poll::new().unwrap()
}

fn join(group: &mut Group, number: u64) {
    let socket = listening(group.place.at);
    group.join(lane(number, socket)).unwrap();
}

fn listening(at: std::net::SocketAddr) -> OwnedFd {
    let socket = born::make(false, true).unwrap();
    born::share(socket.as_fd()).unwrap();
    rustix::net::bind(&socket, &at).unwrap();
    born::listen(socket.as_fd(), 5).unwrap();
    socket
}

fn lane(number: u64, socket: OwnedFd) -> Lane {
    let holder = Some(worker(number));
    let serial = number;
    Lane {
        serial,
        socket,
        holder,
        number: None,
        thread: 0,
        is_cloexec: true,
        is_late: false,
        share: Share::Waits,
        is_aimed: false,
        is_deaf: false,
        left: NOW,
    }
}

/// Connects so often, and says who got how many, by serial.
fn connect(group: &Group, times: usize) -> Vec<(u64, u32)> {
    let before: Vec<u32> = group.lanes.iter().map(Lane::waiting).collect();
    let clients: Vec<_> = (0..times).map(|_| TcpStream::connect(group.place.at).unwrap()).collect();
    let got = group
        .lanes
        .iter()
        .zip(before)
        .map(|(lane, old)| (lane.serial, lane.waiting().saturating_sub(old)));
    let got = got.filter(|(_, count)| *count > 0).collect();
    for lane in &group.lanes {
        while rustix::net::accept(&lane.socket).is_ok() {}
    }
    drop(clients);
    got
}

fn who(group: &Group) -> Vec<u64> {
    connect(group, 60).into_iter().map(|(serial, _)| serial).collect()
}

#[test]
fn the_first_to_listen_gets_connections_until_somebody_lives_and_then_those_who_live() {
    let mut group = place(3);
    assert_eq!(who(&group), [1]);
    group.set_live(worker(2), true).unwrap();
    assert_eq!(who(&group), [2]);
    group.set_live(worker(3), true).unwrap();
    assert_eq!(who(&group), [2, 3]);
    group.set_live(worker(2), false).unwrap();
    assert_eq!(who(&group), [3]);
}

#[test]
fn the_last_to_live_keeps_its_connections_coming_until_another_does() {
    let mut group = place(2);
    group.set_live(worker(1), true).unwrap();
    group.set_live(worker(1), false).unwrap();
    assert_eq!(who(&group), [1]);
}

#[test]
fn those_who_left_are_closed_whatever_their_number_and_the_others_are_called_right() {
    for leaver in 1..=3 {
        let mut group = place(3);
        for number in 1..=3 {
            group.set_live(worker(number), true).unwrap();
        }
        group.set_live(worker(leaver), false).unwrap();
        group.leave(worker(leaver), NOW, &poll()).unwrap();
        assert_eq!(group.lanes.len(), 2);
        let mut left: Vec<u64> = (1..=3).filter(|number| *number != leaver).collect();
        let mut found = who(&group);
        found.sort_unstable();
        assert_eq!(found, left);
        left.reverse();
        for number in left {
            group.set_live(worker(number), true).unwrap();
        }
        join(&mut group, 9);
        assert!(!who(&group).contains(&9), "it does not live yet");
    }
}

#[test]
fn what_a_crashed_worker_left_waits_for_the_next_and_is_closed_when_nothing_can_come() {
    let mut group = place(2);
    group.set_live(worker(1), true).unwrap();
    let waits = TcpStream::connect(group.place.at).unwrap();
    group.set_live(worker(2), true).unwrap();
    group.leave(worker(1), NOW, &poll()).unwrap();
    let orphan = group.orphan(LATER).expect("its queue is not empty");
    assert_eq!((orphan.serial, orphan.waiting()), (1, 1));
    group.sweep(LATER, &poll()).unwrap();
    assert_eq!(group.lanes.len(), 2);
    rustix::net::accept(&group.lanes[0].socket).unwrap();
    drop(waits);
    group.sweep(LATER, &poll()).unwrap();
    assert_eq!(group.lanes.len(), 1);
    assert!(group.orphan(LATER).is_none());
    assert_eq!(who(&group), [2]);
}

#[test]
fn the_queue_of_an_only_worker_stays_where_it_is_when_that_dies() {
    let mut group = place(1);
    group.set_live(worker(1), true).unwrap();
    group.leave(worker(1), NOW, &poll()).unwrap();
    let _waits = TcpStream::connect(group.place.at).unwrap();
    let orphan = group.orphan(LATER).unwrap();
    assert_eq!(orphan.waiting(), 1);
    orphan.holder = Some(worker(2));
    group.set_live(worker(2), true).unwrap();
    assert_eq!(group.lanes.len(), 1);
}

#[test]
fn who_has_begun_to_listen_is_better_than_a_dead_one_and_a_dead_one_than_one_that_leaves() {
    let mut group = place(2);
    for number in [1, 2] {
        group.set_live(worker(number), true).unwrap();
    }
    group.set_live(worker(1), false).unwrap();
    group.leave(worker(2), NOW, &poll()).unwrap();
    assert_eq!(who(&group), [2], "its successor will have it");
    join(&mut group, 3);
    assert_eq!(who(&group), [3]);
}

#[test]
fn what_a_process_may_accept_that_outlived_its_worker_is_only_taken_over_where_it_does_not() {
    let mut group = place(1);
    group.set_live(worker(1), true).unwrap();
    group.desert(worker(1)).unwrap();
    assert!(group.orphan(NOW).is_none());
    let _waits = TcpStream::connect(group.place.at).unwrap();
    assert_eq!(group.orphan(NOW).unwrap().waiting(), 1);
    join(&mut group, 2);
    assert_eq!(who(&group), [2]);
}

#[test]
fn a_worker_may_have_several_sockets_and_lives_leaves_and_goes_with_all() {
    let mut group = place(2);
    let second = listening(group.place.at);
    group.join(Lane { serial: 9, ..lane(1, second) }).unwrap();
    group.set_live(worker(1), true).unwrap();
    assert_eq!(who(&group), [1, 9]);
    group.set_live(worker(2), true).unwrap();
    group.set_live(worker(1), false).unwrap();
    assert_eq!(who(&group), [2]);
    group.leave(worker(1), NOW, &poll()).unwrap();
    assert_eq!(group.lanes.len(), 1);
}

#[test]
fn a_socket_that_its_worker_has_shut_is_no_longer_counted() {
    let mut group = place(3);
    for number in 1..=3 {
        group.set_live(worker(number), true).unwrap();
    }
    born::end(group.lanes[0].socket.as_fd());
    group.lose(1).unwrap().1.unwrap();
    let mut found = who(&group);
    found.sort_unstable();
    assert_eq!(found, [2, 3]);
}
