//! Workers that die under load.

use std::{collections::hash_map::RandomState, env, hash::BuildHasher};

use crate::{
    harness::{Container, together, until},
    nodes::{fleet, metric, usual},
};

const WORKERS: usize = 3;
const CLIENTS: usize = 8;
const KILLS: usize = 50;

/// A run can be repeated by its seed, `NODE_SEED`.
fn seed() -> String {
    let seed = env::var("NODE_SEED")
        .unwrap_or_else(|_| (RandomState::new().hash_one(0) >> 32).to_string());
    eprintln!("NODE_SEED={seed}");
    seed
}

/// The workers that serve, by their log: ready, and not exited.
fn ready(container: &Container) -> Vec<String> {
    let pids = |message| container.said(message).into_iter().filter_map(|entry| entry.field("pid"));
    let exited: Vec<String> = pids("worker exited").collect();
    pids("worker ready").filter(|pid| !exited.contains(pid)).collect()
}

/// Kills so many workers, where so many have been killed before, and waits for their successors.
fn kill(container: &Container, before: usize) {
    let node = format!("/node/node{}", usual());
    // Inside, so that it comes every 0.4 s however busy the engine is.
    container.exec(&[&node, "/sites/killer.js", &seed(), &KILLS.to_string()]);
    until("every worker that was killed is replaced", || {
        let exits = container.said("worker exited").len();
        exits == before + KILLS && ready(container).len() == WORKERS
    });
}

#[test]
fn a_worker_that_is_killed_is_replaced_and_nobody_is_refused() {
    let _company = together();
    let container = fleet(usual(), "app.mjs").set("WORKERS", &WORKERS.to_string()).ready();
    let load = container.load(&format!("one-shot={CLIENTS} keep-alive=0 pause=0"));
    let (mut killed, mut rescued) = (0, 0.0);
    // Where little is asked, nothing may be waiting for a worker just then.
    while killed < 4 * KILLS && rescued == 0.0 {
        kill(&container, killed);
        killed += KILLS;
        rescued = metric(&container, "dutch_master_connections_rescued_total");
    }
    let report = load.finish();
    let lost = report.number("/failed");
    eprintln!("{killed} killed, {} answers, {lost} cut, {rescued} rescued", report.number("/ok"));
    assert!(report.number("/ok") > 200.0, "{report}");
    for class in ["refused", "timeout"] {
        let count = report.number(&format!("/one_shot/classes/{class}"));
        assert!(count == 0.0, "{class}: {report}");
    }
    // What a worker was answering when it died is lost with it, and nothing else.
    assert!(lost <= f64::from(u32::try_from(killed * CLIENTS).unwrap()), "{report}");
    assert!(rescued > 0.0, "what a worker had not taken goes to another: {report}");
    for exited in container.said("worker exited") {
        assert!(exited.field("signal").is_some(), "it ended by itself: {}", exited.text);
    }
    let started = container.said("worker starting").len();
    assert_eq!(started, WORKERS + killed, "one for one:\n{}", container.tail());
    assert_eq!(container.stop().0, 0);
}
