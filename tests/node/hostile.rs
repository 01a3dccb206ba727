//! A worker that turns on the master costs itself.

use std::{thread, time::Duration};

use crate::{
    harness::{Setup, load::Report, together},
    nodes::{fleet, usual},
};

fn under_load(misdeed: &str, setup: &Setup) -> Report {
    let container = setup.start();
    container.next("worker ready");
    container.next("worker ready");
    let load = container.load("one-shot=4 keep-alive=0 by=slot timeout=5000");
    match misdeed {
        "garbage" | "endless" => drop(container.next("worker goes too far")),
        "hoarder" => drop(container.next("worker remarked")),
        // Nothing shows but that it serves no more.
        _ => {}
    }
    thread::sleep(Duration::from_secs(2));
    container.signal("SIGUSR2");
    container.next_where("the roll's end", |entry| {
        entry.says("every worker ready") && entry.field("generation").as_deref() == Some("2")
    });
    let report = load.finish();
    assert!(report.by("0") > 0, "{misdeed}: the other worker serves");
    container.stop();
    report
}

fn fleet_with(misdeed: &str) -> Setup {
    fleet(usual(), &format!("hostile.js {misdeed}"))
        .set("KILL_TIMEOUT", "2s")
        .set("START_ATTEMPTS", "100")
}

#[test]
fn garbage_and_a_line_without_an_end_cost_the_worker_its_place() {
    let _company = together();
    for misdeed in ["garbage", "endless"] {
        under_load(misdeed, &fleet_with(misdeed)).nothing_was_lost();
    }
}

#[test]
fn a_flood_and_lies_about_keys_cost_nobody_a_request() {
    let _company = together();
    for misdeed in ["flood", "lies"] {
        under_load(misdeed, &fleet_with(misdeed)).nothing_was_lost();
    }
}

#[test]
fn a_worker_that_never_comes_back_keeps_the_one_connection_that_it_was_handed() {
    let _company = together();
    let report = under_load("deaf", &fleet_with("deaf"));
    assert!(report.number("/ok") > 100.0);
    // One worker of each generation, as under any primary.
    assert!(report.number("/failed") <= 2.0, "more than the worker's own connection");
}

#[test]
fn a_worker_without_descriptors_rests_and_its_connections_go_to_another() {
    let _company = together();
    let setup = fleet_with("hoarder").set("RLIMIT_NOFILE", "48:48");
    under_load("hoarder", &setup).nothing_was_lost();
}
