//! Rolls under load, by every version and in every mode that can be without loss.

use crate::{
    harness::together,
    nodes::{EAGER, fleet, fleets, rolls, versions},
};

#[test]
fn rolls_lose_no_request_that_comes_on_a_connection_of_its_own() {
    let _company = together();
    for (version, mode) in fleets() {
        if version >= EAGER && mode == "shared" {
            continue;
        }
        let container = fleet(version, "app.mjs").set("BALANCE", mode).ready();
        let load = container.load("one-shot=6 keep-alive=0 by=generation");
        let rolls = rolls();
        for _ in 0..rolls {
            container.roll();
        }
        let report = load.finish();
        eprintln!("Node {version}, {mode}: {} answers in {rolls} rolls", report.number("/ok"));
        report.nothing_was_lost();
        let last = (rolls + 1).to_string();
        assert!(report.by("1") > 0 && report.by(&last) > 0, "Node {version}, {mode}");
    }
}

#[test]
fn with_node_keepalive_rolls_lose_no_request_on_a_kept_connection_either() {
    let _company = together();
    for version in versions() {
        let container = fleet(version, "app.mjs").set("NODE_KEEPALIVE", "on").ready();
        let load = container.load("one-shot=2 keep-alive=8 by=generation");
        for _ in 0..rolls() {
            container.roll();
        }
        let report = load.finish();
        eprintln!("Node {version}, keep-alive: {} answers", report.number("/ok"));
        report.nothing_was_lost();
        assert!(report.number("/keep_alive/requests") > 100.0);
    }
}
