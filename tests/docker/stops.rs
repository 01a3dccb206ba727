//! Every way to stop a container, at every moment.

use std::time::Duration;

use crate::harness::{Container, Load, Setup, together, until};

/// What ends by the default `KILL_TIMEOUT`, or `docker stop`, takes longer.
const SOON: Duration = Duration::from_secs(25);

/// How many workers were killed before the container ended.
fn killed(container: &Container) -> usize {
    container.whole_log().iter().filter(|entry| entry.says("killing worker")).count()
}

/// Twelve requests that take so long that all of them are with a worker before the first one ends.
fn in_flight(container: &Container) -> Load {
    let words = "path=/?id={id}&ms=10000 timeout=60000 one-shot=8 keep-alive=4 count=1 by=version";
    let load = container.begin_load(words);
    until("requests are in flight", || container.connections() >= 12);
    load
}

#[test]
fn docker_stop_lets_requests_in_flight_finish_and_exits_0() {
    let _company = together();
    let container = Setup::new("version=v1").ready();
    let load = in_flight(&container);
    assert_eq!(container.stop().0, 0);
    assert_eq!(load.finish().by("v1"), 12);
}

#[test]
fn a_second_term_changes_nothing() {
    let _company = together();
    let container = Setup::new("version=v1").ready();
    let load = in_flight(&container);
    container.signal("SIGTERM");
    container.next("stopping");
    container.signal("SIGTERM");
    assert_eq!(container.exit_code(), 0);
    assert_eq!(load.finish().by("v1"), 12);
    assert_eq!(killed(&container), 0);
}

#[test]
fn a_second_int_kills_at_once() {
    let _company = together();
    let container = Setup::new("version=v1 ignore-term").ready();
    container.signal("SIGINT");
    container.next("stopping");
    let began = std::time::Instant::now();
    container.signal("SIGINT");
    assert_eq!(container.exit_code(), 1);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn int_and_quit_stop_gracefully() {
    let _company = together();
    for signal in ["SIGINT", "SIGQUIT"] {
        let container = Setup::new("version=v1").ready();
        container.signal(signal);
        assert_eq!(container.exit_code(), 0, "{signal}");
        let log = container.whole_log();
        let ended = log.iter().filter(|entry| entry.text.starts_with("worker down")).count();
        assert_eq!(ended, 2, "{signal}");
    }
}

#[test]
fn a_worker_that_ignores_term_is_killed_after_the_time_set_and_the_code_is_1() {
    let _company = together();
    let container = Setup::new("version=v1 ignore-term").set("KILL_TIMEOUT", "1s").ready();
    let (code, took) = container.stop();
    assert_eq!(code, 1);
    assert!(took >= Duration::from_secs(1) && took < SOON, "{took:?}");
    assert_eq!(killed(&container), 2);
}

#[test]
fn a_stop_during_boot_ends_the_booting_workers() {
    let _company = together();
    let container = Setup::new("boot-hang").start();
    container.next_where("a worker that boots", |entry| entry.text.starts_with("worker up"));
    let (code, took) = container.stop();
    assert_eq!(code, 0, "{}", container.tail());
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_stop_during_a_roll_ends_the_roll_and_starts_nobody() {
    let _company = together();
    let container = Setup::new("version=v1 boot=1500").ready();
    container.signal("SIGUSR2");
    container.next_where("a worker of the new generation", |entry| {
        entry.says("worker starting") && entry.field("generation").as_deref() == Some("2")
    });
    let (code, _) = container.stop();
    assert_eq!(code, 0, "{}", container.tail());
    let log = container.whole_log();
    let stopping = log.iter().position(|entry| entry.says("stopping")).expect("a stop");
    let late = log[stopping..].iter().filter(|entry| entry.says("worker starting")).count();
    assert_eq!(late, 0);
}

#[test]
fn a_worker_that_ends_by_the_stop_signal_or_with_a_code_of_its_own_has_ended_cleanly() {
    let _company = together();
    for command in ["/worker version=v1 term-exit=143", "/worker version=v1 term-exit=3"] {
        let container = Setup::new(command.strip_prefix("/worker ").unwrap()).ready();
        assert_eq!(container.stop().0, 0, "{command}");
    }
}

#[test]
fn a_shutdown_delay_serves_on_before_the_workers_drain() {
    let _company = together();
    let container = Setup::new("version=v1").set("SHUTDOWN_DELAY", "12s").ready();
    container.signal("SIGTERM");
    container.next("stopping");
    assert_eq!(container.answers("version", 2).len(), 1);
    assert_eq!(container.exit_code(), 0);
}

#[test]
fn no_process_outlives_a_stop_whatever_a_worker_leaves_behind() {
    let _company = together();
    let container = Setup::new("version=v1 orphans=5 orphans-live=60000").ready();
    container.until("there are orphans", |log| {
        log.iter().filter(|entry| entry.text.starts_with("worker orphans")).count() == 2
    });
    let (code, took) = container.stop();
    assert_eq!(code, 0);
    assert!(took < SOON, "{took:?}");
}
