//! The screen as it looks.
#![cfg(test)]

mod snapshots;

use super::*;
use dutch_master::wire::control::{LastRoll, Listener, Roll};

fn worker(slot: u16, state: &str, reason: Option<&str>) -> Worker {
    Worker {
        slot,
        worker: 4 + u64::from(slot),
        generation: 2,
        pid: Some(17),
        state: state.to_owned(),
        reason: reason.map(str::to_owned),
        uptime: Millis(75_000),
        patience: reason.map(|_| Millis(28_000)),
        cpu: Millis(1_200),
        memory: 45 << 20,
        connections: Some(12),
        is_deaf: false,
        says: None,
    }
}

fn sample() -> Status {
    let slot = |slot, is_vacant| Slot {
        slot,
        is_vacant,
        failures: 1,
        retry_in: is_vacant.then_some(Millis(3_000)),
        restarts: 2,
        last_exit: Some("exit code 3".to_owned()),
    };
    let progress = Progress { from: Some(1), to: 2, done: 1, of: 2, is_revert: false };
    Status {
        version: "0.1.0".to_owned(),
        pid: 1,
        uptime: Millis(90_061_000),
        contract: "systemd".to_owned(),
        readiness: "notify".to_owned(),
        balance: "slot".to_owned(),
        is_ready: true,
        why: "1 of 2 workers ready".to_owned(),
        is_stopping: false,
        ready: 1,
        target: 2,
        generation: Some(2),
        directory: Some("/srv/v2".to_owned()),
        roll: Some(Roll { progress, asked_by: "signal 12".to_owned(), since: Millis(2_500) }),
        last_roll: Some(LastRoll {
            generation: 1,
            is_complete: true,
            problem: None,
            asked_by: "x".to_owned(),
            took: Millis(1),
        }),
        workers: vec![worker(0, "ready", None), worker(0, "draining", Some("replaced"))],
        slots: vec![slot(0, false), slot(1, true)],
        listeners: vec![Listener {
            name: "http".to_owned(),
            address: "[::]:8000".to_owned(),
            queue: Some(3),
            limit: Some(4096),
            relayed: 0,
        }],
        listen_drops: Some(7),
        events: vec![Event {
            at: Millis(3_661_000),
            what: "worker ready".to_owned(),
            slot: Some(0),
            worker: Some(4),
            why: Some("after 12 ms".to_owned()),
            ..Event::default()
        }],
    }
}

#[test]
fn the_screen_shows_what_an_operator_asks_first() {
    let look = Look { width: 100, height: None, has_colour: false };
    let wanted = "\
SERVING ready=1/2 generation=2 pid=1 up=1d1h contract=systemd balance=slot version=0.1.0
roll generation 1 → 2 [############------------] 1 of 2, for 2.5s, asked by signal 12

SLOT WORKER  GEN     PID STATE           UP     CPU    MEM CONN RESTARTS NOTE
0         4    2      17 ready        1m15s    1.2s    45M   12        2 last exit: exit code 3
0         4    2      17 draining     1m15s    1.2s    45M   12        2 replaced, 28s left
1    vacant, next try in 3.0s; last exit: exit code 3

listener http [::]:8000 queue=3/4096
drops 7 for full queues, in the whole network namespace

01:01:01 worker ready slot=0 worker=4: after 12 ms
";
    assert_eq!(status(&sample(), look), wanted);
}

#[test]
fn a_deaf_worker_what_was_relayed_and_the_spread_of_load_are_shown() {
    let mut deaf = sample();
    let mut second = worker(1, "ready", None);
    (second.is_deaf, second.connections) = (true, Some(3));
    deaf.workers.push(second);
    deaf.listeners[0].relayed = 5;
    let text = status(&deaf, Look { width: 100, height: None, has_colour: false });
    assert!(text.contains("        2 accepts nobody\n"), "{text}");
    assert!(text.contains("\nspread 3 to 12 connections a ready worker\n"), "{text}");
    assert!(text.contains(" queue=3/4096 relayed=5\n"), "{text}");
}

#[test]
fn no_line_is_wider_than_the_terminal_or_a_hundred_columns() {
    let mut long = sample();
    long.workers[0].says = Some("\x1b[31mred ".repeat(50));
    for width in [20, 80, 300] {
        let text = status(&long, Look { width, height: None, has_colour: false });
        assert!(text.lines().all(|line| line.chars().count() <= width.min(WIDEST)), "{text}");
        assert!(!text.contains('\x1b'));
    }
    let painted = status(&sample(), Look { width: 80, height: None, has_colour: true });
    assert!(painted.starts_with("\x1b[32mSERVING\x1b[0m ready=1/2"));
}

#[test]
fn a_last_roll_tells_why_it_failed() {
    let mut after = sample();
    after.roll = None;
    let last = after.last_roll.as_mut().unwrap();
    last.problem = Some("worker 7: exit code 3".to_owned());
    let text = status(&after, Look { width: 100, height: None, has_colour: false });
    assert!(text.contains("\nlast roll: generation 1 failed: worker 7: exit code 3, took 0.0s"));
}

#[test]
fn the_last_words_of_a_worker_stand_below_its_end() {
    let event = Event {
        what: "worker exited".to_owned(),
        why: Some("signal 11".to_owned()),
        lines: vec!["panic at\x07 the disco".to_owned()],
        ..Event::default()
    };
    let wanted = "00:00:00 worker exited: signal 11\n    | panic at· the disco";
    assert_eq!(whole_event(&event), wanted);
}
