//! `docker kill -s` of every signal there is.

use crate::harness::{Setup, together};

/// What the master has no use for, by number where it has no name that docker knows.
const FORWARDED: &[(&str, i32)] = &[
    ("SIGUSR1", 10),
    ("SIGALRM", 14),
    ("SIGSTKFLT", 16),
    ("SIGCONT", 18),
    ("SIGTSTP", 20),
    ("SIGURG", 23),
    ("SIGXCPU", 24),
    ("SIGXFSZ", 25),
    ("SIGVTALRM", 26),
    ("SIGPROF", 27),
    ("SIGWINCH", 28),
    ("SIGIO", 29),
    ("SIGPWR", 30),
];

/// Every real-time signal that the C library leaves to programs.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// What accuses a process of a fault, and what comes for every child.
const HARMLESS: &[&str] =
    &["SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV", "SIGSYS", "SIGCHLD"];

#[test]
fn a_signal_that_the_master_has_no_use_for_reaches_every_worker() {
    let _company = together();
    let container = Setup::new("version=v1").ready();
    let named = FORWARDED.iter().map(|&(name, number)| (name.to_owned(), number));
    for (name, number) in named.chain(REAL_TIME.map(|number| (number.to_string(), number))) {
        container.skip();
        container.signal(&name);
        let line = format!("worker signal={number} ");
        for slot in ["slot=0", "slot=1"] {
            container.until(&format!("{name} reaches {slot}"), |log| {
                log.iter().any(|entry| entry.text.starts_with(&line) && entry.text.contains(slot))
            });
        }
    }
    assert_eq!(container.said("worker starting").len(), 2, "{}", container.tail());
    assert_eq!(container.stop().0, 0);
}

#[test]
fn a_signal_that_accuses_the_master_does_not_end_it() {
    let _company = together();
    let container = Setup::new("version=v1").ready();
    for name in HARMLESS {
        container.signal(name);
    }
    container.roll();
    assert_eq!(container.answers("version", 4).len(), 1);
    assert_eq!(container.stop().0, 0);
}

#[test]
fn usr2_and_hup_each_start_a_roll_and_the_workers_do_not_see_them() {
    let _company = together();
    let container = Setup::new("version=v1").ready();
    for signal in ["SIGUSR2", "SIGHUP"] {
        container.signal(signal);
        container.next("roll started");
        container.next("roll complete");
    }
    assert_eq!(container.answers("generation", 4).len(), 1);
    container.stop();
    let log = container.whole_log();
    let seen = |entry: &&crate::harness::Entry| {
        ["worker signal=12 ", "worker signal=1 "].iter().any(|line| entry.text.starts_with(line))
    };
    assert_eq!(log.iter().filter(seen).count(), 0);
}

#[test]
fn restart_signal_names_the_signals_that_roll() {
    let _company = together();
    let container = Setup::new("version=v1").set("RESTART_SIGNAL", "SIGUSR1").ready();
    container.signal("SIGUSR1");
    container.next("roll complete");
    container.signal("SIGHUP");
    container.next_where("HUP forwarded", |entry| entry.text.starts_with("worker signal=1 "));
    assert_eq!(container.said("roll started").len(), 1);
}

#[test]
fn stop_signal_is_what_the_workers_get_to_stop() {
    let _company = together();
    let container = Setup::new("version=v1").set("STOP_SIGNAL", "SIGQUIT").ready();
    assert_eq!(container.stop().0, 0);
    let log = container.whole_log();
    let count = |number| {
        let line = format!("worker signal={number} ");
        log.iter().filter(|entry| entry.text.starts_with(&line)).count()
    };
    assert_eq!((count(3), count(15)), (2, 0));
}

#[test]
fn ttin_adds_a_worker_and_ttou_takes_one_away_without_a_lost_request() {
    let _company = together();
    let container = Setup::new("version=v1").ready();
    let load = container.load("");
    for _ in 0..2 {
        container.signal("SIGTTIN");
        container.next("worker ready");
    }
    assert_eq!(container.workers(), 4);
    for _ in 0..3 {
        container.signal("SIGTTOU");
        container.next("worker exited");
    }
    assert_eq!(container.workers(), 1);
    load.finish().nothing_was_lost();
    // One is the least.
    container.signal("SIGTTOU");
    container.roll();
    assert_eq!(container.workers(), 1);
    assert_eq!(container.stop().0, 0);
}
