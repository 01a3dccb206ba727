//! Workers that shut their own lane: the kernel then calls another one by its number.

use std::{collections::BTreeSet, net::SocketAddr};

use rustix::process::Signal;

use crate::harness::{Client, Master, Setup, kill};

fn fleet(workers: &str) -> Master {
    let setup = Setup::new("serve").set("READY", "auto").set("LISTEN", "tcp://127.0.0.1:0");
    let setup = setup.set("STALL_TIMEOUT", "off").set("WORKERS", workers).set("LOG", "debug");
    let master = setup.set("BALANCE", "slot").start();
    master.next("roll complete");
    master
}

/// The pid and the slot of who answers.
fn ask(to: SocketAddr, what: &str) -> (i64, i64) {
    let answer = Client::say(to, what).answer();
    (answer[0], answer[1])
}

/// Asks until the worker in this slot has been told; its pid. The others are asked for nothing.
fn tell(to: SocketAddr, slot: i64, what: &str) -> i64 {
    loop {
        let mut client = Client::say(to, "who");
        let answer = client.answer();
        if answer[1] == slot {
            client.more(what);
            return client.answer()[0];
        }
    }
}

#[test]
fn the_others_are_steered_rightly_when_a_worker_has_shut_its_lane() {
    for shut in 0..3 {
        let mut master = fleet("3");
        let address = master.address();
        tell(address, shut, "shut");
        master.next("socket shut by its worker");
        // The last lane has the number of the one that is gone; who leaves it must get nobody.
        let stops = if shut == 2 { 1 } else { 2 };
        let gone = tell(address, stops, "stopping");
        master.next_where("its replacement", |line| {
            line.says("worker ready") && line.number("slot") == stops
        });
        let answers: BTreeSet<i64> = (0..200).map(|_| ask(address, "hello").0).collect();
        assert!(!answers.contains(&gone) && answers.len() == 2, "{answers:?}");
        assert_eq!(master.stop(), 0);
    }
}

#[test]
fn the_next_worker_in_a_lane_that_was_shut_gets_a_socket_that_listens() {
    for workers in ["1", "2"] {
        let mut master = fleet(workers);
        let address = master.address();
        let victim = tell(address, 0, "shut");
        master.next("socket shut by its worker");
        kill(victim, Signal::KILL);
        master.next("worker ready");
        let answers: BTreeSet<i64> = (0..200).map(|_| ask(address, "hello").1).collect();
        let all = 0..workers.parse().unwrap();
        assert_eq!(answers, all.collect(), "{}", master.tail());
        assert_eq!(master.stop(), 0);
    }
}
