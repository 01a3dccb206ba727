//! Releases that cannot start: the old one serves on, the log says why, and the next one rolls.

use crate::harness::{Container, Entry, Releases, Setup, alone, no_gap, together};

fn fleet(releases: &Releases) -> Setup {
    releases.deploy("v1", "");
    Setup::new("").options(&releases.volume()).set("CHDIR", "/srv/current")
}

fn of_generation(entries: &[Entry], generation: &str) -> usize {
    entries.iter().filter(|entry| entry.field("generation").as_deref() == Some(generation)).count()
}

/// Rolls a broken release out under load, then a good one.
fn broken(knobs: &str, start_timeout: &str) -> (Container, Entry) {
    let releases = Releases::new();
    let container = fleet(&releases).set("START_TIMEOUT", start_timeout).ready();
    let load = container.load("by=version");
    releases.deploy("v2", knobs);
    container.signal("SIGUSR2");
    let failed = container.next("roll failed");
    let tries = of_generation(&container.said("worker starting"), "2");
    assert!((1..=3).contains(&tries), "{tries} forks\n{}", container.tail());
    assert_eq!(container.answers("version", 6), ["v1".to_owned()].into());
    releases.deploy("v3", "");
    container.roll();
    assert_eq!(container.answers("version", 6), ["v3".to_owned()].into());
    let report = load.finish();
    report.nothing_was_lost();
    assert_eq!(report.by("v2"), 0);
    assert!(report.by("v1") > 0);
    assert_eq!(container.said("roll failed").len(), 1, "{}", container.tail());
    (container, failed)
}

#[test]
fn a_release_that_exits_while_booting_is_given_up_and_its_code_is_in_the_log() {
    let _company = together();
    let (container, _) = broken("boot-exit=7", "60s");
    let exits = container.said("worker exited");
    assert!(exits.iter().any(|entry| entry.text.contains('7')), "{}", container.tail());
}

#[test]
fn a_release_that_is_killed_while_booting_is_given_up() {
    let _company = together();
    let (container, _) = broken("boot-kill=9", "60s");
    let exits = container.said("worker exited");
    assert!(exits.iter().any(|entry| entry.field("signal").is_some()), "{}", container.tail());
}

#[test]
fn a_release_that_never_gets_ready_is_given_up_when_its_time_is_over() {
    let _company = together();
    broken("boot-hang", "5s");
}

#[test]
fn a_release_that_dies_right_after_it_was_ready_is_given_up() {
    let _company = together();
    let releases = Releases::new();
    // However late it crashes, it has not lived for so long.
    let container = fleet(&releases).set("CANARY", "8s").ready();
    releases.deploy("v2", "crash-after=100 exit-code=9");
    container.signal("SIGUSR2");
    container.next("roll failed");
    container.until("the fleet is whole again", |log| {
        let count = |message: &str| log.iter().filter(|entry| entry.says(message)).count();
        count("worker ready") >= 2 && count("worker starting") == count("worker exited") + 2
    });
    assert_eq!(container.answers("version", 6), ["v1".to_owned()].into());
    assert_eq!(container.stop().0, 0);
}

#[test]
fn a_broken_release_leaves_no_gap() {
    let _quiet = alone();
    let releases = Releases::new();
    let start = || fleet(&releases).ready();
    no_gap("a broken release", start, |container| {
        releases.deploy("v2", "boot=2000 boot-exit=1");
        container.signal("SIGUSR2");
        container.next("roll failed");
    });
}

#[test]
fn a_release_that_ignores_the_stop_signal_is_killed_after_the_time_set() {
    let _company = together();
    let releases = Releases::new();
    let container = fleet(&releases).set("KILL_TIMEOUT", "2s").ready();
    releases.deploy("v2", "ignore-term");
    container.roll();
    releases.deploy("v3", "");
    container.signal("SIGUSR2");
    container.next("roll started");
    let killed = container.next("killing worker");
    assert_eq!(killed.field("generation").as_deref(), Some("2"));
    container.until("only v3 is left", |log| {
        let count = |message: &str| log.iter().filter(|entry| entry.says(message)).count();
        count("worker starting") == count("worker exited") + 2
    });
    assert_eq!(container.answers("version", 6), ["v3".to_owned()].into());
}

#[test]
fn an_empty_release_directory_and_a_missing_program_are_failed_releases_too() {
    let _company = together();
    let releases = Releases::new();
    releases.write("v1/run", "");
    std::fs::remove_file(releases.path().join("v1/run")).unwrap();
    std::os::unix::fs::symlink("/worker", releases.path().join("v1/run")).unwrap();
    releases.deploy("v1", "");
    let setup = Setup::command("./run")
        .options(&releases.volume())
        .set("LISTEN", "http=127.0.0.1:8000")
        .set("CONTRACT", "systemd")
        .set("WORKERS", "2")
        .set("BACKOFF", "50ms-1s")
        .set("CHDIR", "/srv/current");
    let container = setup.ready();
    releases.deploy("v2", "");
    container.signal("SIGUSR2");
    container.next("roll failed");
    assert_eq!(container.answers("version", 4), ["v1".to_owned()].into());
}

#[test]
fn a_broken_release_asked_for_right_after_the_boot_takes_no_worker_along() {
    let _company = together();
    let releases = Releases::new();
    let container = fleet(&releases).set("WORKERS", "1").start();
    container.next("every worker ready");
    releases.deploy("v2", "boot-exit=7");
    container.signal("SIGUSR2");
    container.until("the release was tried", |log| {
        log.iter().filter(|entry| entry.says("worker exited")).count() >= 3
    });
    assert_eq!(container.answers("version", 4), ["v1".to_owned()].into());
    releases.deploy("v3", "");
    container.signal("SIGUSR2");
    container.next_where("the good release", |entry| {
        entry.says("every worker ready") && entry.field("generation").as_deref() == Some("3")
    });
    assert_eq!(container.answers("version", 4), ["v3".to_owned()].into());
}
