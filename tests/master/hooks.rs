//! Commands of the operator's: what they inherit, and what is said of those that come to nothing.

use std::process::Command;

use super::harness::{Folder, Setup};

#[test]
fn a_hook_may_open_as_many_files_as_before_we_raised_our_own_limit() {
    let output = Command::new("sh")
        .args([
            "-c",
            "ulimit -Sn 100; exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_dutch-master"),
            "true",
        ])
        .env("DUTCH_MASTER_BEFORE_FORK", "sh -c 'echo hook may open $(ulimit -n); exit 3'")
        .env("DUTCH_MASTER_START_ATTEMPTS", "1")
        .env("DUTCH_MASTER_WORKERS", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), "hook may open 100", "{output:?}");
}

#[test]
fn a_probe_that_cannot_run_is_told_of_once_a_worker() {
    let mut master = Setup::new("exec sleep 600")
        .set("READY", "exec:/nowhere/probe")
        .set("START_TIMEOUT", "5s")
        .set("START_ATTEMPTS", "1")
        .start();
    master.exit_code();
    assert_eq!(master.count("READY command does not run"), 1, "{}", master.tail());
}

#[test]
fn a_start_that_is_called_off_while_before_fork_succeeds_has_not_failed() {
    let folder = Folder::new();
    let hook =
        folder.write("hook", "trap 'exit 0' TERM; echo hook; while :; do sleep 0.01; done\n");
    let mut master = Setup::new("exec sleep 600").set("BEFORE_FORK", &format!("sh {hook}")).start();
    master.printed("hook");
    assert_eq!(master.stop(), 0);
    let log = master.tail();
    assert!(!log.contains("BEFORE_FORK failed"), "{log}");
    assert!(log.contains("not wanted any more"), "{log}");
}
