//! What a worker tells the master over `NOTIFY_SOCKET`.

use crate::harness::{Setup, together};

#[test]
fn a_worker_that_asks_for_its_restart_several_times_gets_one_replacement() {
    let _company = together();
    let container = Setup::new("version=v1 boot=500").set("WORKERS", "1").ready();
    let load = container.load("");
    container.get("/restart?n=5");
    container.next("worker ready");
    container.next("worker exited");
    load.finish().nothing_was_lost();
    let starts = container.said("worker starting").len();
    assert_eq!(starts, 2, "{}", container.tail());
}

#[test]
fn a_worker_that_goes_by_itself_is_replaced() {
    let _company = together();
    let container = Setup::new("version=v1").ready();
    container.get("/stopping");
    container.next("worker ready");
    // Before its successor is ready, or after.
    container.until("it is gone", |log| log.iter().any(|entry| entry.says("worker exited")));
    let went = |entry: &crate::harness::Entry| entry.text.starts_with("worker down");
    container.until("it went by itself", |log| log.iter().any(went));
    assert_eq!(container.answers("version", 4).len(), 1);
    assert_eq!(container.workers(), 2);
}

#[test]
fn a_worker_without_signs_of_life_is_replaced_by_one_that_is_ready_first() {
    let _company = together();
    let container = Setup::new("version=v1 watchdog=200 watchdog-for=3000")
        .set("WATCHDOG", "3s")
        .set("KILL_TIMEOUT", "20s")
        .ready();
    let load = container.load("");
    container.next("worker ready");
    container.next("worker exited");
    load.finish().nothing_was_lost();
}

#[test]
fn a_stored_descriptor_comes_back_to_the_slots_next_worker() {
    let _company = together();
    let container = Setup::new("version=v1 fdstore").set("WORKERS", "1").ready();
    let answer = container.get("/");
    let value = |text: &str, name: &str| {
        let words = text.split_whitespace().filter_map(|word| word.split_once('='));
        words.filter(|(have, _)| *have == name).map(|(_, value)| value.to_owned()).next().unwrap()
    };
    assert_eq!(value(&answer, "stored"), "none");
    let pid = value(&answer, "pid");
    container.roll();
    assert_eq!(value(&container.get("/"), "stored"), pid);
}

#[test]
fn a_worker_that_asks_for_more_time_to_boot_gets_it() {
    let _company = together();
    let container = Setup::new("version=v1 boot=6000 extend=60").set("START_TIMEOUT", "3s").ready();
    assert_eq!(container.said("worker starting").len(), 2, "{}", container.tail());
}

#[test]
fn garbage_on_the_socket_harms_nobody() {
    let _company = together();
    let container = Setup::new("version=v1").ready();
    for say in ["nonsense", "READY:maybe", "WATCHDOG_USEC:-1", "MAINPID:1", "X_NOTHING:1"] {
        container.get(&format!("/notify?say={say}"));
    }
    container.roll();
    assert_eq!(container.workers(), 2);
    assert_eq!(container.stop().0, 0);
}

#[test]
fn a_worker_that_crashes_is_replaced_at_once_and_the_log_says_how_it_ended() {
    let _company = together();
    let container = Setup::new("version=v1").ready();
    container.skip();
    container.get("/kill?signal=9");
    let exited = container.next("worker exited");
    assert!(exited.field("signal").is_some(), "{}", exited.text);
    container.next("worker ready");
    container.skip();
    container.get("/exit?code=77");
    let exited = container.next("worker exited");
    assert!(exited.text.contains("77"), "{}", exited.text);
    container.next("worker ready");
    assert_eq!(container.workers(), 2);
}
