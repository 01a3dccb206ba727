//! Servers that know nothing of us, in containers as they are in the field: each binds its own port.

use crate::harness::{Setup, together, without_filters};

/// A server that binds by itself and says nothing.
const UNAIDED: &str = "version=v1 listen=127.0.0.1:8000 boot=300 delay=5";
/// Everything taken away that a careful operator takes away.
const HARDENED: &str = "--read-only --cap-drop ALL --user 65534 \
    --security-opt no-new-privileges --pids-limit 40";

fn unaided() -> Setup {
    Setup::new(UNAIDED).unset("LISTEN").unset("CONTRACT")
}

fn rolled(setup: Setup) {
    let container = setup.set("WORKERS", "2").ready();
    let load = container.load("by=generation one-shot=4");
    for _ in 0..4 {
        container.roll();
    }
    let report = load.finish();
    report.nothing_was_lost();
    assert_eq!(container.stop().0, 0);
}

#[test]
fn a_server_that_binds_its_own_port_is_captured_unasked_and_rolled_as_root() {
    let _company = together();
    rolled(unaided());
}

#[test]
fn a_hardened_container_captures_as_well() {
    let _company = together();
    rolled(unaided().options(HARDENED).set("CONTRACT", "capture"));
}

#[test]
fn workers_of_another_user_than_the_master_are_captured() {
    let _company = together();
    rolled(unaided().set("USER", "nobody").set("CONTRACT", "capture"));
}

#[test]
fn a_container_that_may_not_set_filters_serves_as_it_would_without_us_and_says_why() {
    let _company = together();
    let options = without_filters();
    let container = unaided().options(&options).set("WORKERS", "1").ready();
    let starting = &container.said("starting")[0];
    assert_eq!(starting.field("contract").as_deref(), Some("plain"));
    let why = starting.field("contract_why").unwrap();
    assert!(why.contains("denies seccomp"), "{why}");
    assert_eq!(container.answers("version", 1).len(), 1);
    assert_eq!(container.stop().0, 0);
    let (code, text) = unaided().options(&options).set("CONTRACT", "capture").to_its_end();
    assert_eq!(code, 78);
    assert!(text.contains("denies seccomp"), "{text}");
}
