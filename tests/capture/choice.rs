//! When servers are captured without being asked about, and what is said of it.

use rustix::process::Signal;

use crate::{
    harness::Setup,
    load::{at, crowd, free_port, server},
};

#[test]
fn a_program_of_which_nothing_is_known_is_captured_and_the_log_says_how_to_turn_it_off() {
    let port = free_port();
    let mut master = server("serve", port, "2").set("CONTRACT", "auto").start();
    let line = master.next("servers are captured");
    assert_eq!(line.field("off").as_deref(), Some("DUTCH_MASTER_CONTRACT=plain"));
    master.next("every worker ready");
    assert_eq!(crowd(at(port), 40).len(), 2);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_program_without_servers_is_ready_after_a_while_and_its_next_one_sooner() {
    let mut master = server("never", 1, "1").set("CONTRACT", "auto").start();
    let first = master.next("worker ready").number("after_ms");
    assert!(first >= 9_000, "{first}");
    master.roll();
    let second = master.so_far().into_iter().rfind(|line| line.says("worker ready"));
    let second = second.unwrap().number("after_ms");
    assert!(second < 9_000, "{second}");
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_slow_server_is_not_taken_for_a_silent_one_because_another_was_told_to_go() {
    let port = free_port();
    let mut master = server("slow", port, "2").set("CONTRACT", "auto").start();
    // Both end well from now on, and neither listens yet.
    (0..2).for_each(|_| drop(master.printed("slow")));
    master.signal(Signal::TTOU);
    master.next("worker exited");
    let ready = master.next("worker ready").number("after_ms");
    assert!(ready >= 4_000, "{ready}");
    assert_eq!(crowd(at(port), 5).len(), 1);
    assert_eq!(master.stop(), 0, "{}", master.tail());
}

#[test]
fn a_server_that_never_listens_has_failed_where_capture_was_asked_for() {
    let mut master = server("never", 1, "1")
        .set("START_TIMEOUT", "1s")
        .set("START_ATTEMPTS", "1")
        .set("KILL_TIMEOUT", "5s")
        .start();
    let line = master.next("worker never listened");
    assert!(line.field("hint").unwrap().contains("READY=delay"), "{}", line.text);
    assert_ne!(master.exit_code(), 0);
}

#[test]
fn workers_gain_no_rights_and_hooks_may() {
    let script = "grep NoNewPrivs /proc/self/status; exec sleep 1000";
    let setup = Setup::of(&["sh", "-c", script]).set("READY", "start");
    let mut master = setup
        .set("CONTRACT", "capture")
        .set("BEFORE_FORK", "sh -c 'echo hook; grep NoNewPrivs /proc/self/status'")
        .start();
    master.printed("hook");
    master.printed("NoNewPrivs:\t0");
    master.printed("NoNewPrivs:\t1");
    assert_eq!(master.stop(), 0, "{}", master.tail());
}
