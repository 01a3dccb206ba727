//! Releases in directories behind a `current` link.

use crate::harness::{Releases, Setup, together};

fn fleet(releases: &Releases) -> Setup {
    Setup::new("").options(&releases.volume()).set("CHDIR", "/srv/current")
}

#[test]
fn a_swapped_link_is_rolled_out_when_asked_for() {
    let _company = together();
    let releases = Releases::new();
    releases.deploy("v1", "");
    let container = fleet(&releases).ready();
    let load = container.load("by=version");
    assert_eq!(container.answers("version", 4), ["v1".to_owned()].into());
    for version in ["v2", "v3", "v4"] {
        releases.deploy(version, "");
        container.roll();
        assert_eq!(container.answers("version", 4), [version.to_owned()].into());
    }
    let report = load.finish();
    report.nothing_was_lost();
    assert!(["v1", "v2", "v3", "v4"].iter().all(|version| report.by(version) > 0));
}

#[test]
fn a_crash_between_swap_and_roll_brings_the_old_release_back() {
    let _company = together();
    let releases = Releases::new();
    releases.deploy("v1", "");
    let container = fleet(&releases).ready();
    releases.deploy("v2", "");
    for round in 0..4 {
        container.skip();
        container.get("/exit?code=3");
        container.next("worker exited");
        container.next("worker ready");
        assert_eq!(container.answers("version", 6), ["v1".to_owned()].into(), "round {round}");
    }
    container.roll();
    assert_eq!(container.answers("version", 6), ["v2".to_owned()].into());
}

#[test]
fn a_link_to_nowhere_fails_the_roll_with_the_path_in_the_log() {
    let _company = together();
    let releases = Releases::new();
    releases.deploy("v1", "");
    let container = fleet(&releases).ready();
    let load = container.load("by=version");
    releases.link("nowhere");
    container.signal("SIGUSR2");
    container.next("roll refused");
    container.until("the path is told", |log| {
        log.iter().any(|entry| entry.text.contains("/srv/current") && !entry.says("starting"))
    });
    assert_eq!(container.answers("version", 4), ["v1".to_owned()].into());
    releases.deploy("v2", "");
    container.roll();
    load.finish().nothing_was_lost();
}

#[test]
fn a_release_directory_that_vanishes_takes_no_serving_worker_along() {
    let _company = together();
    let releases = Releases::new();
    releases.deploy("v1", "");
    let container = fleet(&releases).ready();
    releases.remove("v1");
    assert_eq!(container.answers("version", 4), ["v1".to_owned()].into());
    container.signal("SIGUSR2");
    container.next("roll refused");
    assert_eq!(container.answers("version", 4), ["v1".to_owned()].into());
    releases.deploy("v2", "");
    container.roll();
    assert_eq!(container.answers("version", 4), ["v2".to_owned()].into());
    assert_eq!(container.stop().0, 0);
}

#[test]
fn a_fleet_whose_directory_is_not_there_at_boot_is_an_error_with_the_path() {
    let _company = together();
    let (code, text) = Setup::new("").set("CHDIR", "/nowhere/current").to_its_end();
    assert_ne!(code, 0);
    assert!(text.contains("/nowhere/current"), "{text}");
}
