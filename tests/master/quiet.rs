//! What a master costs that runs for long: no descriptor, no zombie, no wake-up.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::harness::{Master, PATIENCE, Setup};

pub(crate) fn descriptors(master: &Master) -> usize {
    fs::read_dir(format!("/proc/{}/fd", master.pid())).unwrap().count()
}

/// The states of its children, from /proc.
fn children(master: &Master) -> Vec<char> {
    let text = fs::read_to_string(format!("/proc/{0}/task/{0}/children", master.pid())).unwrap();
    text.split_whitespace()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok())
        .filter_map(|stat| stat.rsplit(')').next()?.trim().chars().next())
        .collect()
}

#[test]
fn twenty_rolls_leave_no_descriptor_and_no_zombie_behind() {
    let setup = Setup::new("sleep 600 & wait").set("BEFORE_FORK", "true").set("OUTPUT", "prefix");
    let master = setup.set("LISTEN", "tcp://127.0.0.1:0").set("BALANCE", "shared").ready();
    // The first roll brings what comes once.
    master.roll();
    master.next("roll complete");
    alone(&master);
    let before = descriptors(&master);
    for _ in 0..20 {
        master.signal(Signal::HUP);
        master.next("worker ready");
        master.next("worker exited");
    }
    master.next("roll complete");
    alone(&master);
    assert_eq!(descriptors(&master), before, "{}", master.tail());
}

/// Waits until one living worker is the only child, and what the others left has been dropped at
/// the end of a turn: one that "exited" may leave a `sleep` that dies a moment later.
fn alone(master: &Master) {
    let end = Instant::now() + PATIENCE;
    loop {
        let children = children(master);
        if children.len() == 1 && children[0] != 'Z' {
            break;
        }
        assert!(Instant::now() < end, "{children:?}: {}", master.tail());
        rest(Duration::from_millis(10));
    }
    master.catch_up();
}

/// Waits until nothing has woken it for a while: what was under way is over. The count then.
pub(crate) fn settled(master: &Master) -> u64 {
    let end = Instant::now() + PATIENCE;
    loop {
        let before = wake_ups(master);
        rest(Duration::from_millis(500));
        if wake_ups(master) == before || Instant::now() > end {
            return before;
        }
    }
}

pub(crate) fn wake_ups(master: &Master) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", master.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
    line.split_whitespace().last().unwrap().parse().unwrap()
}

#[test]
fn a_quiet_master_does_not_wake_up() {
    let master = Setup::new("exec sleep 600")
        .set("LISTEN", "tcp://127.0.0.1:0")
        .set("WORKERS", "2")
        .set("OUTPUT", "lines")
        .ready();
    master.next("roll complete");
    // The turn that logged this ends; then there are three seconds of nothing.
    let before = settled(&master);
    rest(Duration::from_secs(3));
    assert_eq!(before, wake_ups(&master), "woken for nothing");
}

/// Time passes. Only where that is what is tested.
pub(crate) fn rest(time: Duration) {
    let (_keep, never) = std::sync::mpsc::channel::<()>();
    let _ = never.recv_timeout(time);
}

#[test]
fn a_worker_past_its_age_is_replaced() {
    let master = Setup::new("exec sleep 600").set("MAX_LIFETIME", "2s").ready();
    master.next_where("the successor", |line| {
        line.field("why").as_deref() == Some("predecessor too old")
    });
    master.next("worker ready");
    master.next("worker exited");
}

#[test]
fn a_worker_past_its_memory_is_replaced() {
    let script = "if mkdir $DM_MARK 2>/dev/null; then
            x=$(head -c 30000000 /dev/zero | tr '\\0' x); fi; sleep 600 & wait";
    let folder = crate::harness::Folder::new();
    let setup = Setup::new(script).var("DM_MARK", &folder.text("mark"));
    let master = setup.set("MAX_MEMORY", "20M").start();
    let told = master.next("worker to be replaced");
    assert_eq!(told.field("why").as_deref(), Some("too much memory"));
    master.next("worker ready");
    master.next("worker exited");
    assert_eq!(master.count("worker to be replaced"), 1);
}
