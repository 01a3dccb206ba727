//! Settings that only a real container shows at work.

use crate::harness::{Releases, Setup, together};

#[test]
fn a_directory_of_variables_is_read_anew_for_every_generation() {
    let _company = together();
    let folder = Releases::new();
    folder.write("env/COLOUR", "green\n");
    let container =
        Setup::new("version=v1").options(&folder.volume()).set("ENV_DIR", "/srv/env").ready();
    assert!(container.get("/env").contains("COLOUR=green"));
    folder.write("env/COLOUR", "blue\n");
    container.skip();
    container.get("/exit");
    container.next("worker ready");
    for _ in 0..4 {
        assert!(container.get("/env").contains("COLOUR=green"), "a crash deploys nothing");
    }
    container.roll();
    assert!(container.get("/env").contains("COLOUR=blue"));
}

#[test]
fn a_changed_file_starts_a_roll_and_one_written_anew_with_the_same_content_does_not() {
    let _company = together();
    let folder = Releases::new();
    folder.write("config/app.conf", "one");
    let container =
        Setup::new("version=v1").options(&folder.volume()).set("WATCH", "/srv/config").ready();
    folder.write("config/app.conf", "one");
    folder.write("config/app.conf", "two");
    container.next("roll started");
    container.next("roll complete");
    assert_eq!(container.said("roll started").len(), 1);
}

#[test]
fn a_command_before_each_start_runs_and_its_failure_fails_that_start() {
    let _company = together();
    let folder = Releases::new();
    folder.write("flag", "");
    let container = Setup::new("version=v1")
        .options(&folder.volume())
        .set("BEFORE_FORK", "/probe cat /srv/flag")
        .ready();
    std::fs::remove_file(folder.path().join("flag")).unwrap();
    container.signal("SIGUSR2");
    container.next("roll failed");
    assert_eq!(container.answers("generation", 4), ["1".to_owned()].into());
    folder.write("flag", "");
    container.roll();
    assert_eq!(container.stop().0, 0);
}

#[test]
fn a_command_tells_the_number_of_workers_at_start_and_before_each_roll() {
    let _company = together();
    let folder = Releases::new();
    folder.write("number", "1\n");
    let container = Setup::new("version=v1")
        .options(&folder.volume())
        .unset("WORKERS")
        .set("NUM_WORKERS_COMMAND", "/probe cat /srv/number")
        .ready();
    assert_eq!(container.workers(), 1);
    folder.write("number", "3\n");
    container.roll();
    assert_eq!(container.workers(), 3);
}

#[test]
fn a_worker_past_its_lifetime_is_replaced_without_a_lost_request() {
    let _company = together();
    let container = Setup::new("version=v1").set("MAX_LIFETIME", "3s").ready();
    let load = container.load("");
    for _ in 0..4 {
        container.next("worker ready");
    }
    load.finish().nothing_was_lost();
}

#[test]
fn limits_of_the_workers_are_set() {
    let _company = together();
    let container =
        Setup::new("version=v1").set("RLIMIT_NOFILE", "333").set("NO_NEW_PRIVS", "on").ready();
    assert!(container.get("/status").contains("NoNewPrivs:\t1"));
    let worker = container.processes().into_iter().find(|process| process[2] == "worker").unwrap();
    let limits = container.exec(&["/probe", "cat", &format!("/proc/{}/limits", worker[0])]);
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert!(line.contains(" 333 "), "{line}");
}
