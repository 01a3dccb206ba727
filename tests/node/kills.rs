//! Workers that die under load.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    harness::{Container, together, until},
    nodes::{fleet, usual},
};

/// Node programs that live inside.
fn workers(container: &Container, version: u32) -> Vec<String> {
    let name = format!("node{version}");
    let alive = |process: &&Vec<String>| {
        process[1] != "Z"
            && (process[2] == name || process[2] == "node" || process[2] == "MainThread")
    };
    container.processes().iter().filter(alive).map(|process| process[0].clone()).collect()
}

#[test]
fn a_worker_that_is_killed_is_replaced_and_nobody_is_refused() {
    let _company = together();
    let version = usual();
    let container = fleet(version, "app.mjs").set("WORKERS", "3").ready();
    let load = container.load("one-shot=6 keep-alive=0");
    let end = Instant::now() + Duration::from_secs(10);
    let mut killed = 0;
    while Instant::now() < end {
        let alive = workers(&container, version);
        if let Some(pid) = alive.get(killed % alive.len().max(1)) {
            container.exec(&["/probe", "signal", pid, "9"]);
            killed += 1;
        }
        thread::sleep(Duration::from_millis(400));
    }
    until("three workers are ready again", || {
        let count = |message| container.said(message).len();
        count("worker ready") == count("worker exited") + 3
    });
    let report = load.finish();
    let lost = report.number("/failed");
    eprintln!("{killed} workers killed, {} answers, {lost} cut", report.number("/ok"));
    assert!(report.number("/ok") > 100.0);
    assert!(report.number("/one_shot/classes/refused") == 0.0, "a connection was refused");
    assert!(report.number("/one_shot/classes/timeout") == 0.0, "a request was forgotten");
    // What a worker was answering when it died is lost with it, and nothing else.
    assert!(lost <= f64::from(u32::try_from(killed).unwrap()) * 6.0, "{lost} of {killed} kills");
}
