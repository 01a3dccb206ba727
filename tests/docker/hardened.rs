//! Everything taken away that a careful operator takes away.

use crate::harness::{Setup, together};

const HARDENED: &str = "--read-only --cap-drop ALL --user 65534 \
    --security-opt no-new-privileges --pids-limit 40";

#[test]
fn a_hardened_container_serves_rolls_and_stops() {
    let _company = together();
    for balance in ["slot", "shared"] {
        let container =
            Setup::new("version=v1 boot=300").options(HARDENED).set("BALANCE", balance).ready();
        let load = container.load("one-shot=3 keep-alive=2");
        container.roll();
        container.roll();
        load.finish().nothing_was_lost();
        assert_eq!(container.status_of_master("CapEff"), "0000000000000000");
        assert_eq!(container.stop().0, 0);
    }
}

#[test]
fn a_uid_without_a_name_will_do() {
    let _company = together();
    let container = Setup::new("version=v1").options("--read-only --user 12345:54321").ready();
    assert_eq!(container.answers("version", 1).len(), 1);
    assert_eq!(container.stop().0, 0);
}

#[test]
fn workers_run_as_the_user_named_and_the_master_does_not() {
    let _company = together();
    let container = Setup::new("version=v1").set("USER", "nobody").ready();
    let status = container.get("/status");
    let ids = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ids("Uid:"), ["65534"; 4]);
    assert_eq!(ids("Gid:"), ["65534"; 4]);
    assert!(container.status_of_master("Uid").starts_with('0'));
    container.roll();
    assert_eq!(container.stop().0, 0);
}
