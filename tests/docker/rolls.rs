//! Rolls of good releases, with load on them.

use crate::harness::{Releases, Setup, alone, no_gap, together, until};

/// The slow boot of peers.md, and requests that are in flight at any time.
const SLOW: &str = "version=v1 boot=2000 delay=5";

fn roll_twice(setup: &Setup) {
    let container = setup.ready();
    let load = container.load("by=generation one-shot=6 keep-alive=4");
    container.roll();
    container.roll();
    let report = load.finish();
    report.nothing_was_lost();
    for generation in 1..=3 {
        let generation = container
            .said("worker starting")
            .iter()
            .filter(|entry| entry.field("generation") == Some(generation.to_string()))
            .count();
        assert_eq!(generation, 2, "workers of a generation:\n{}", container.tail());
    }
    assert_eq!(container.stop().0, 0);
}

#[test]
fn a_roll_loses_nothing_where_workers_share_a_queue() {
    let _company = together();
    roll_twice(&Setup::new(SLOW).set("BALANCE", "shared"));
}

#[test]
fn a_roll_loses_nothing_where_each_slot_has_a_socket() {
    let _company = together();
    roll_twice(&Setup::new(SLOW).set("BALANCE", "slot"));
}

#[test]
fn a_roll_of_a_release_that_boots_slowly_leaves_no_gap() {
    let _quiet = alone();
    for balance in ["shared", "slot"] {
        let setup = Setup::new("version=v1 boot=2000").set("BALANCE", balance);
        no_gap(balance, || setup.ready(), |container| drop(container.roll()));
    }
}

#[test]
fn a_fleet_of_one_is_replaced_by_a_worker_that_is_ready_first() {
    let _company = together();
    let container = Setup::new("version=v1 boot=300").set("WORKERS", "1").ready();
    let load = container.load("by=generation");
    container.signal("SIGUSR2");
    let ready = container.next("worker ready");
    assert_eq!(ready.field("generation").as_deref(), Some("2"));
    container.next("draining worker");
    container.next("roll complete");
    let report = load.finish();
    report.nothing_was_lost();
    assert!(report.by("1") > 0 && report.by("2") > 0);
}

#[test]
fn a_roll_asked_for_during_a_roll_ends_with_everybody_started_after_it() {
    let _company = together();
    let releases = Releases::new();
    releases.deploy("v1", "");
    let container = Setup::new("")
        .options(&releases.volume())
        .set("CHDIR", "/srv/current")
        .set("SURGE", "1")
        .ready();
    let load = container.load("");
    // Nobody else is started before it is ready, or told so.
    releases.deploy("v2", "boot=8000");
    container.signal("SIGUSR2");
    container.next_where("a worker of generation 2", |entry| {
        entry.says("worker starting") && entry.field("generation").as_deref() == Some("2")
    });
    releases.deploy("v3", "");
    container.signal("SIGUSR2");
    container.next_where("the roll to generation 3", |entry| {
        entry.says("every worker ready") && entry.field("generation").as_deref() == Some("3")
    });
    load.finish().nothing_was_lost();
    container.until("nobody of an older generation is left", |log| {
        log.iter().filter(|entry| entry.says("worker exited")).count()
            == log.iter().filter(|entry| entry.says("worker starting")).count() - 2
    });
    assert_eq!(container.answers("generation", 6), ["3".to_owned()].into());
    assert_eq!(container.answers("version", 6), ["v3".to_owned()].into());
    // The slots that had not been rolled skip the generation in the middle.
    let middle = container
        .said("worker starting")
        .iter()
        .filter(|entry| entry.field("generation").as_deref() == Some("2"))
        .count();
    assert_eq!(middle, 1, "{}", container.tail());
}

#[test]
fn ten_requests_in_a_row_end_on_one_generation_without_a_lost_request() {
    let _company = together();
    let container = Setup::new("version=v1 boot=200").ready();
    let load = container.load("");
    for _ in 0..10 {
        container.signal("SIGUSR2");
    }
    // Where they come slowly, some of them are rolls of their own.
    until("one generation is left", || {
        container.answers("generation", 6).len() == 1 && container.workers() == 2
    });
    load.finish().nothing_was_lost();
    assert_eq!(container.stop().0, 0);
}

#[test]
fn a_roll_never_has_more_processes_than_workers_surge_and_draining() {
    let _company = together();
    let container = Setup::new("version=v1 boot=100")
        .set("WORKERS", "6")
        .set("SURGE", "2")
        .set("MAX_DRAINING", "1")
        .ready();
    container.roll();
    let mut alive = 0_i32;
    for entry in container.said("worker starting").iter().chain(&container.said("worker exited")) {
        assert!(entry.field("slot").is_some(), "{}", entry.text);
    }
    container.stop();
    for entry in container.whole_log() {
        alive += i32::from(entry.says("worker starting")) - i32::from(entry.says("worker exited"));
        assert!(alive <= 6 + 2 + 1, "{alive} at once: {}", entry.text);
    }
    assert_eq!(alive, 0);
}

#[test]
fn requests_in_flight_are_finished_by_the_worker_that_took_them() {
    let _company = together();
    for balance in ["shared", "slot"] {
        let container = Setup::new("version=v1").set("BALANCE", balance).ready();
        let load =
            container.begin_load("path=/?id={id}&ms=1500 one-shot=20 keep-alive=0 by=generation");
        until("requests are in flight", || container.connections() > 0);
        container.roll();
        container.roll();
        let report = load.finish();
        assert!(report.number("/failed") == 0.0, "{balance}: requests were cut");
        assert!(report.by("1") > 0);
    }
}
