//! What PID 1 owes to processes that it never started.

use crate::harness::{Setup, together, until};

#[test]
fn ten_thousand_orphans_leave_no_zombie_and_disturb_nobody() {
    let _company = together();
    let container = Setup::new("version=v1").ready();
    let load = container.load("");
    for _ in 0..10 {
        container.get("/orphans?n=1000");
    }
    until("every orphan is reaped", || {
        container.processes().iter().all(|process| process[1] != "Z")
    });
    load.finish().nothing_was_lost();
    assert_eq!(container.said("worker exited").len(), 0, "{}", container.tail());
    assert_eq!(container.workers(), 2);
    assert_eq!(container.stop().0, 0);
}

#[test]
fn orphans_that_end_all_at_once_are_all_reaped() {
    let _company = together();
    let container = Setup::new("orphans=500 orphans-live=1500").ready();
    container.until("there are orphans", |log| {
        log.iter().filter(|entry| entry.text.starts_with("worker orphans")).count() == 2
    });
    until("every orphan is gone", || {
        container.processes().iter().all(|process| {
            process[0] == "1" || process[2] == "probe" || process[3] != "1" || process[1] != "Z"
        })
    });
    until("only workers are left", || container.workers() == 2);
}

#[test]
fn a_master_that_is_not_pid_1_leaves_every_process_alone_that_is_not_its_own() {
    let _company = together();
    let mut bystander = std::process::Command::new("sleep").arg("300").spawn().unwrap();
    let container = Setup::new("version=v1").options("--pid=host").ready();
    container.get("/orphans?n=100");
    container.roll();
    assert_ne!(container.inspect("{{.State.Pid}}"), "1");
    let pid = container.inspect("{{.State.Pid}}");
    until("no zombie of the master's is left", || {
        container.processes().iter().all(|process| process[3] != pid || process[1] != "Z")
    });
    assert_eq!(container.stop().0, 0);
    assert!(bystander.try_wait().unwrap().is_none(), "a bystander was killed");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}
