//! The primary against real Node: an unmodified server, rolled and killed under load.
//!
//! Uses the `node` on PATH, and those that `NODES` names (paths, separated by colons). `ROLLS` says
//! how often the fleet is rolled.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

#[path = "node_primary/load.rs"]
mod load;
#[path = "node_primary/shell.rs"]
mod shell;

use std::{process::Command, time::Duration};

use dutch_master::wire::node::primary::{Effect, Options};
use load::Load;
use shell::{Shell, now};

const APP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node_primary/app.js");

#[expect(clippy::disallowed_methods, reason = "how a test is told what to test")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The Node programs there are, and their major versions.
fn nodes() -> Vec<(String, u32)> {
    let named = variable("NODES").unwrap_or_default();
    let named = named.split(':').filter(|path| !path.is_empty());
    let version = |path: &str| {
        let output = Command::new(path).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        text.trim_start_matches('v').split('.').next()?.parse().ok()
    };
    let found: Vec<(String, u32)> = ["node"]
        .into_iter()
        .chain(named)
        .filter_map(|path| Some((path.to_string(), version(path)?)))
        .collect();
    assert!(!found.is_empty(), "no node on PATH: scripts/test host installs it");
    found
}

fn rolls() -> usize {
    variable("ROLLS").and_then(|text| text.parse().ok()).unwrap_or(3)
}

fn two_workers(node: &str, options: Options) -> Shell {
    let mut shell = Shell::new(node, APP, options);
    let workers = [shell.start(None), shell.start(None)];
    shell.until("boot", |shell| workers.iter().all(|worker| shell.ready.contains(worker)));
    shell
}

/// Replaces every worker, each once its successor is ready.
fn roll(shell: &mut Shell) {
    let old: Vec<u64> = shell.ready.iter().copied().collect();
    let new: Vec<u64> = old.iter().map(|worker| shell.start(Some(*worker))).collect();
    shell.until("a roll", |shell| new.iter().all(|worker| shell.ready.contains(worker)));
    for worker in &old {
        shell.drain(*worker);
    }
    shell.until("a drain", |shell| old.iter().all(|worker| shell.gone.contains(worker)));
    shell.settled();
}

/// Ends the load once so many requests were answered that a run means something, however slow.
fn ended(shell: &mut Shell, load: Load) -> (usize, Vec<String>) {
    shell.until("a hundred answers", |_| load.answered() > 100);
    let load = std::thread::spawn(|| load.stop());
    while !load.is_finished() {
        shell.turn(Duration::from_millis(5));
    }
    load.join().unwrap()
}

fn rolled_under_load(node: &str, options: Options) -> (usize, Vec<String>) {
    let mut shell = two_workers(node, options);
    let load = Load::start(shell.port(), 4);
    for _ in 0..rolls() {
        roll(&mut shell);
    }
    let outcome = ended(&mut shell, load);
    shell.until("the last answers", |shell| shell.open_connections() == 0);
    assert_eq!(shell.odd, [], "nothing odd happened");
    outcome
}

#[test]
fn a_roll_in_round_robin_loses_no_request() {
    for (node, version) in nodes() {
        let (answered, failures) = rolled_under_load(&node, Options::default());
        eprintln!("node {version}, round robin: {answered} answered, {} failed", failures.len());
        assert!(failures.is_empty() && answered > 100, "node {version}: {answered}, {failures:?}");
    }
}

#[test]
fn a_roll_with_shared_sockets_loses_no_request() {
    for (node, version) in nodes() {
        let options = Options { shared: true, ..Options::default() };
        let (answered, failures) = rolled_under_load(&node, options);
        eprintln!("node {version}, shared: {answered} answered, {} failed", failures.len());
        // From 26 on, Node's close() destroys connections that it has accepted and not read.
        let is_lossless = version < 26;
        assert!(failures.is_empty() || !is_lossless, "node {version}: {answered}, {failures:?}");
    }
}

#[test]
fn a_killed_worker_costs_only_what_it_had_begun() {
    for (node, version) in nodes() {
        let mut shell = two_workers(&node, Options::default());
        let load = Load::start(shell.port(), 4);
        for _ in 0..rolls() {
            let victim = *shell.ready.iter().next().unwrap();
            let successor = shell.start(Some(victim));
            let until = now() + Duration::from_millis(100);
            while now() < until {
                shell.turn(Duration::from_millis(5));
            }
            shell.kill(victim);
            shell.until("a death", |shell| shell.gone.contains(&victim));
            shell.until("a birth", |shell| shell.ready.contains(&successor));
        }
        let (answered, failures) = ended(&mut shell, load);
        shell.until("the last answers", |shell| shell.open_connections() == 0);
        let rescued = shell.rescued;
        eprintln!("node {version}: {answered} answered, {rescued} rescued, {failures:?}");
        assert!(answered > 100 && shell.odd.iter().all(|odd| matches!(odd, Effect::Left(_))));
        assert!(!failures.iter().any(|failure| failure.starts_with("connect")), "{failures:?}");
        // Four clients, each with one request at a time: no more than these can be in its hands.
        assert!(failures.len() <= 4 * rolls(), "{failures:?}");
    }
}
