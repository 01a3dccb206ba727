//! Captured servers that share one queue (`BALANCE=shared`): what one of them does to its listener is
//! its own affair, and whoever is free accepts.

use std::{net::SocketAddr, time::Duration};

use rustix::process::Signal;

use crate::{
    harness::{Setup, kill},
    load::{
        Load, ask, at, crowd, descriptors, free_port, server, settles, until, up, up_with_both,
    },
};

/// The server's program.
const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/capture/shared.py");

/// A server in this mode, which stops gracefully.
fn sharing(mode: &str, port: u16, workers: &str) -> Setup {
    let setup = Setup::of(&["/usr/bin/python3", SERVER, mode, &port.to_string()]);
    setup.set("CONTRACT", "capture").set("WORKERS", workers).set("BALANCE", "shared")
}

/// Serves, rolls under load, and loses nothing.
#[track_caller]
fn rolls_well(mode: &str, to: impl Fn(u16) -> SocketAddr, rolls: usize) -> Vec<String> {
    let port = free_port();
    let mut master = up(sharing(mode, port, "2"));
    let before = descriptors(master.pid());
    let load = Load::start(to(port), 4, "hello");
    for _ in 0..rolls {
        load.proceeds(30);
        master.roll();
    }
    load.proceeds(30);
    let tally = load.finish();
    eprintln!("{mode}: {rolls} rolls: {tally:?}");
    tally.nothing_was_lost();
    master.rewind();
    for _ in 0..rolls * 2 {
        master.next("worker exited");
    }
    settles(master.pid(), before + 2);
    assert_eq!(master.stop(), 0, "{}", master.tail());
    master.so_far().into_iter().map(|line| line.text).collect()
}

#[test]
fn servers_that_share_a_queue_are_rolled_under_load_and_lose_nothing() {
    rolls_well("serve", at, 20);
}

#[test]
fn servers_whose_children_accept_share_a_queue_and_lose_nothing() {
    rolls_well("forks", at, 2);
}

#[test]
fn servers_of_ipv6_share_a_queue_and_lose_nothing() {
    rolls_well("v6", |port| SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port)), 2);
}

#[test]
fn a_server_with_several_listeners_in_one_place_has_one_socket_for_all() {
    let said = rolls_well("several", at, 2);
    assert!(said.iter().any(|line| line == "sockets 1"), "{said:?}");
}

#[test]
fn servers_that_close_and_reopen_their_port_go_on_with_the_same_queue() {
    rolls_well("reopens", at, 2);
}

#[test]
fn releases_that_ask_for_another_backlog_share_a_queue_and_lose_nothing() {
    rolls_well("backlog", at, 2);
}

#[test]
fn a_replacement_that_shares_is_ready_when_it_listens_wherever_its_predecessor_does() {
    let port = free_port();
    let mut master = up_with_both(sharing("two", port, "1"), port);
    let load = Load::start(at(port + 1), 2, "hello");
    master.roll();
    load.proceeds(50);
    load.finish().nothing_was_lost();
    let ready = master.so_far().into_iter().rfind(|line| line.says("worker ready"));
    assert!(ready.unwrap().number("after_ms") >= 1500);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_listener_that_one_shuts_stays_open_for_the_others_and_its_worker_is_replaced() {
    let port = free_port();
    let mut master = up(sharing("shuts", port, "3"));
    let load = Load::start(at(port), 3, "hello");
    for _ in 0..2 {
        load.proceeds(100);
        let victim = ask(at(port), "shut").unwrap()[0];
        master.next("worker disconnected");
        assert!(!crowd(at(port), 60).contains_key(&victim));
        master.next("worker ready");
    }
    load.finish().nothing_was_lost();
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_listener_that_its_worker_shuts_and_opens_again_was_open_all_the_time() {
    let port = free_port();
    let mut master = up(sharing("again", port, "2"));
    // Who ends its listening is replaced, and a fleet of which nobody ever lasts gives up.
    master.next("roll complete");
    let load = Load::start(at(port), 3, "again");
    load.proceeds(300);
    load.finish().nothing_was_lost();
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_listener_that_one_ends_unseen_listens_again_at_once() {
    let port = free_port();
    let mut master = up(sharing("disconnects", port, "2"));
    for _ in 0..5 {
        ask(at(port), "shut").unwrap();
        master.printed("disconnected");
        until(|| ask(at(port), "hello").is_ok());
        assert_eq!(crowd(at(port), 20).values().sum::<usize>(), 20);
    }
    master.roll();
    assert_eq!(crowd(at(port), 20).values().sum::<usize>(), 20);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_connection_is_shut_as_ever_where_listeners_are_not() {
    let port = free_port();
    let mut master = up(sharing("serve", port, "2"));
    for _ in 0..20 {
        ask(at(port), "end").unwrap();
    }
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_crash_costs_what_the_dead_had_in_hand_and_the_queue_is_the_others() {
    let port = free_port();
    let mut master = up(sharing("serve", port, "2"));
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
fn who_waits_while_the_only_sharer_is_dead_is_served_by_its_successor() {
    let port = free_port();
    let mut master = up(sharing("serve", port, "1"));
    for _ in 0..2 {
        let victim = ask(at(port), "hello").unwrap()[0];
        kill(victim, Signal::KILL);
        master.next("worker exited");
        let waiting: Vec<_> =
            (0..5).map(|_| std::thread::spawn(move || ask(at(port), "hello"))).collect();
        for client in waiting {
            assert_ne!(client.join().unwrap().unwrap()[0], victim);
        }
    }
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_worker_that_shuts_connections_in_a_flood_costs_only_itself() {
    rolls_well("floods", at, 2);
}

#[test]
fn a_release_that_polls_its_listener_too_early_is_refused_and_the_old_one_serves_on() {
    let port = free_port();
    let setup = server("epoll-first", port, "1").set("BALANCE", "shared");
    let mut master = up(setup.set("START_ATTEMPTS", "1").set("START_TIMEOUT", "30s"));
    let before = ask(at(port), "hello").unwrap();
    master.signal(Signal::USR2);
    let line = master.next("worker refused a listener");
    assert_eq!(line.field("address"), Some(at(port).to_string()));
    assert_eq!(line.field("remedy").as_deref(), Some("DUTCH_MASTER_BALANCE=slot"));
    assert_eq!(
        master.printed("listened again").text,
        format!("listened again: {}", nix::libc::EADDRINUSE)
    );
    master.next("roll failed");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(ask(at(port), "hello").unwrap(), before);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn only_a_shutdown_that_could_end_a_shared_listener_costs_more_than_the_kernels() {
    let cost = |balance| {
        let mut master = up(sharing("costs", free_port(), "1").set("BALANCE", balance));
        let costs = ["costs both", "costs writing"].map(|what| {
            let text = master.printed(what).text;
            text.rsplit(' ').next().unwrap().parse::<u32>().unwrap()
        });
        assert_eq!(master.stop(), 0, "{}", master.tail());
        eprintln!("{balance}: {costs:?} ns");
        costs
    };
    let ([slot, _], [shared, writing]) = (cost("slot"), cost("shared"));
    assert!(slot * 2 < shared && writing * 2 < shared, "{slot}, {writing}, {shared}");
}
