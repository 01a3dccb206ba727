//! Where a worker must listen before it is ready: wherever the one before it in its slot did.

use std::{net::TcpStream, time::Duration};

use rustix::process::Signal;

use crate::{
    halt::halt,
    harness::{Folder, Line, Master, Setup, kill},
    load::{Load, ask, at, crowd, free_port, server, serving, until, up, up_with_both},
};

/// A server that is given up after a while if it is not ready.
fn impatient(mode: &str, port: u16, workers: &str) -> Setup {
    server(mode, port, workers).set("START_TIMEOUT", "20s").set("START_ATTEMPTS", "2")
}

fn last_ready_after(master: &Master) -> i64 {
    let ready = master.so_far().into_iter().rfind(|line| line.says("worker ready"));
    ready.unwrap().number("after_ms")
}

/// Kills who serves there, and waits for the next one.
fn crash(master: &Master, port: u16) {
    let victim = ask(at(port), "hello").unwrap()[0];
    kill(victim, Signal::KILL);
    exited(master, victim);
    master.next("worker ready");
}

/// Waits until a release has held: when one crashes before, the old release comes back.
fn proven(master: &Master, generation: i64) {
    let is_it = |line: &Line| line.says("roll complete") && line.number("generation") == generation;
    master.next_where("the end of the roll", is_it);
}

/// Waits until this one has ended, whoever else has.
fn exited(master: &Master, pid: i64) {
    master.next_where("its end", |line| line.says("worker exited") && line.number("pid") == pid);
}

#[test]
fn workers_that_have_a_port_each_are_ready_rolled_and_replaced() {
    let port = free_port();
    let mut master = up(impatient("by-slot", port, "2"));
    master.roll();
    proven(&master, 2);
    for number in [0, 1] {
        crash(&master, port + number);
        assert_eq!(ask(at(port + number), "hello").unwrap()[1..], [number.into(), 2]);
    }
    master.roll();
    assert_eq!(ask(at(port + 1), "hello").unwrap()[1..], [1, 3]);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_worker_that_is_new_in_its_slot_may_listen_where_nobody_does() {
    let port = free_port();
    let mut master = up(impatient("by-slot", port, "1"));
    master.roll();
    master.signal(Signal::TTIN);
    master.next("worker ready");
    assert_eq!(ask(at(port + 1), "hello").unwrap()[1..], [1, 2]);
    master.roll();
    assert_eq!(ask(at(port + 1), "hello").unwrap()[1..], [1, 3]);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_port_that_only_one_slot_has_is_asked_of_that_slot() {
    let port = free_port();
    let mut master = up_with_both(impatient("metrics", port, "2"), port);
    for generation in [2, 3] {
        master.roll();
        assert_eq!(ask(at(port + 1), "hello").unwrap()[1..], [0, generation]);
    }
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn who_replaces_a_crashed_worker_must_listen_wherever_that_did() {
    let port = free_port();
    let mut master = up_with_both(server("two", port, "1"), port);
    master.roll();
    proven(&master, 2);
    crash(&master, port);
    assert!(last_ready_after(&master) >= 1500, "{}", master.tail());
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_release_that_comes_back_is_not_asked_for_a_port_that_it_never_had() {
    let port = free_port();
    let mut master = up(impatient("greedy", port, "2").set("BACKOFF", "1ms-2ms"));
    master.signal(Signal::HUP);
    master.next("roll failed");
    master.next("roll complete");
    assert_eq!(ask(at(port), "hello").unwrap()[2], 1);
    until(|| TcpStream::connect(at(port + 1)).is_err());
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_program_without_servers_that_ends_well_was_ready() {
    let mut master = server("job", 1, "1")
        .set("CONTRACT", "auto")
        .set("START_ATTEMPTS", "2")
        .set("BACKOFF", "1ms-2ms")
        .start();
    for _ in 0..4 {
        master.next("worker ready");
        master.next("worker exited");
    }
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_slow_server_is_not_taken_for_a_program_without_because_others_are() {
    let folder = Folder::new();
    let words = ["local", "1", &folder.text("socket")];
    let mut master = up(serving(&words, "2").set("CONTRACT", "auto"));
    master.roll();
    let ready = master.so_far().into_iter().filter(|line| line.says("worker ready"));
    let mut took: Vec<_> = ready.map(|line| line.number("after_ms")).collect();
    took.drain(..2);
    took.sort_unstable();
    assert!(took[0] < 6000 && took[1] >= 6000, "{took:?}");
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_worker_that_was_ready_before_it_listens_gets_connections_in_a_dead_ones_place_too() {
    let port = free_port();
    let mut master = up(server("serve", port, "2").set("READY", "start"));
    let both = || crowd(at(port), 40).len() == 2;
    until(|| ask(at(port), "hello").is_ok());
    until(both);
    kill(ask(at(port), "hello").unwrap()[0], Signal::KILL);
    master.next("worker exited");
    until(both);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

/// Somebody connects to a worker that stands still, which is then killed.
fn waits_for_the_dead(mode: &str) {
    let port = free_port();
    let mut master = up(server(mode, port, "1"));
    let victim = ask(at(port), "hello").unwrap()[0];
    halt(victim);
    let waits = std::thread::spawn(move || ask(at(port), "hello"));
    std::thread::sleep(Duration::from_millis(300));
    kill(victim, Signal::KILL);
    let answer = waits.join().unwrap();
    assert!(answer.as_ref().is_ok_and(|words| words[0] != victim), "{answer:?}: {}", master.tail());
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn who_waits_for_a_dead_worker_is_served_though_a_helper_of_it_lives() {
    waits_for_the_dead("helped");
}

#[test]
fn who_waits_for_a_dead_worker_is_served_though_the_next_one_polls_before_it_listens() {
    waits_for_the_dead("epoll-first");
}

#[test]
fn a_server_that_polls_before_it_listens_hears_in_a_dead_ones_place() {
    for workers in [1, 2] {
        let port = free_port();
        let mut master = up(server("epoll-first", port, &workers.to_string()));
        crash(&master, port);
        until(|| crowd(at(port), 40).len() == workers);
        assert_eq!(master.stop(), 0, "{}", master.tail());
    }
}

#[test]
fn a_server_that_has_several_listeners_in_one_place_keeps_each_and_all_get_connections() {
    let port = free_port();
    let mut master = up(server("several", port, "1"));
    let all_accept = || {
        assert_eq!(master.printed("sockets").text, "sockets 2");
        assert_eq!(crowd(at(port), 40).len(), 2);
    };
    all_accept();
    kill(ask(at(port), "hello").unwrap()[1], Signal::KILL);
    master.next("worker exited");
    master.next("worker ready");
    all_accept();
    let load = Load::start(at(port), 3, "hello");
    load.proceeds(50);
    master.roll();
    load.proceeds(50);
    load.finish().nothing_was_lost();
    all_accept();
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_listener_in_a_dead_ones_place_waits_or_not_as_its_own_would() {
    let port = free_port();
    let mut master = up(server("unblocked", port, "1"));
    assert_eq!(master.printed("waits").text, "waits False");
    crash(&master, port);
    assert_eq!(master.printed("waits").text, "waits False");
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_port_that_was_opened_long_after_the_start_is_not_asked_of_the_next_ones() {
    let port = free_port();
    let mut master = up(impatient("on-demand", port, "1"));
    std::thread::sleep(Duration::from_secs(11));
    ask(at(port), "open").unwrap();
    until(|| ask(at(port + 1), "hello").is_ok());
    master.roll();
    assert_eq!(ask(at(port), "hello").unwrap()[2], 2);
    crash(&master, port);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_port_of_the_start_is_asked_of_the_next_ones_however_late_it_was_opened_again() {
    let port = free_port();
    let mut master = up(server("again", port, "1"));
    std::thread::sleep(Duration::from_secs(11));
    ask(at(port), "again").unwrap();
    master.printed("again");
    master.roll();
    let after = last_ready_after(&master);
    assert!(after >= 2000, "{after} ms: the second port was not waited for");
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn two_processes_of_one_worker_in_one_place_are_rolled_and_one_may_die() {
    let port = free_port();
    let mut master = up(server("apart", port, "2"));
    let load = Load::start(at(port), 3, "hello");
    for _ in 0..2 {
        load.proceeds(50);
        master.roll();
    }
    load.finish().nothing_was_lost();
    let dying = ask(at(port), "hello").unwrap()[0];
    kill(dying, Signal::KILL);
    // Until it is a zombie, it may still take a connection with it.
    until(|| std::fs::read_to_string(format!("/proc/{dying}/stat")).unwrap().contains(") Z "));
    let who = crowd(at(port), 60);
    assert!(who.len() >= 2, "{who:?}");
    assert_eq!(master.stop(), 0, "{}", master.tail());
}
