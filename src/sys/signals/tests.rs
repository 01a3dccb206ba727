//! Signals, with real signals; each test in a process of its own.
#![cfg(test)]

use super::super::testing::{alone, alone_after, open_descriptors};
use super::*;

/// What a process may be sent without being stopped or killed once all is installed.
fn catchable() -> impl Iterator<Item = i32> {
    let not_taken = [4, 5, 7, 8, 9, 11, 13, 19, 31, 32, 33, 34];
    (1..=LAST).filter(move |signal| !not_taken.contains(signal))
}

/// To this thread, so that the handler has run when the call returns.
fn raise(signal: i32) {
    let thread = rustix::thread::gettid().as_raw_nonzero().get();
    // SAFETY: numbers only.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, Pid::own().get(), thread, signal) };
    assert_eq!(sent, 0);
}

#[test]
fn every_signal_that_can_be_taken_is_delivered_with_its_sender() {
    alone(
        "sys::signals::tests::every_signal_that_can_be_taken_is_delivered_with_its_sender",
        || {
            let mut signals = Signals::install().unwrap();
            assert_eq!(signals.drain(), []);
            for signal in catchable() {
                raise(signal);
                let found = signals.drain();
                let uid = Some(rustix::process::getuid().as_raw());
                assert_eq!(found, [Received { signal, from: Some(Pid::own()), uid }]);
            }
        },
    );
}

#[test]
fn a_flood_never_blocks_and_hides_no_other_signal() {
    alone("sys::signals::tests::a_flood_never_blocks_and_hides_no_other_signal", || {
        let mut signals = Signals::install().unwrap();
        for _ in 0..100_000 {
            raise(libc::SIGWINCH);
        }
        catchable().for_each(raise);
        let mut found: Vec<_> = signals.drain().iter().map(|received| received.signal).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, catchable().collect::<Vec<_>>());
        assert_eq!(signals.drain(), []);
    });
}

#[test]
fn a_waiting_signal_makes_the_descriptor_readable_and_draining_makes_it_quiet() {
    let name = "sys::signals::tests::a_waiting_signal_makes_the_descriptor_readable_and_draining_makes_it_quiet";
    alone(name, || {
        let mut signals = Signals::install().unwrap();
        let mut poll = crate::sys::poll::Poll::new().unwrap();
        poll.add(signals.as_fd(), 7, crate::sys::poll::Interest::Read).unwrap();
        let now = Some(std::time::Duration::ZERO);
        assert_eq!(poll.wait(now).unwrap(), []);
        raise(libc::SIGHUP);
        assert_eq!(poll.wait(None).unwrap()[0].token, 7);
        signals.drain();
        assert_eq!(poll.wait(now).unwrap(), []);
    });
}

#[test]
fn handlers_go_with_their_value_and_leave_no_descriptor() {
    alone("sys::signals::tests::handlers_go_with_their_value_and_leave_no_descriptor", || {
        let before = open_descriptors();
        drop(Signals::install().unwrap());
        assert_eq!(open_descriptors(), before);
    });
}

#[test]
fn a_signal_that_comes_while_the_handlers_go_does_no_harm() {
    alone("sys::signals::tests::a_signal_that_comes_while_the_handlers_go_does_no_harm", || {
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    kill(Pid::own(), libc::SIGCHLD).unwrap();
                }
            });
            (0..100).for_each(|_| drop(Signals::install().unwrap()));
            is_over.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn the_queue_delivers_all_but_kill_and_stop_even_what_libc_hides() {
    alone(
        "sys::signals::tests::the_queue_delivers_all_but_kill_and_stop_even_what_libc_hides",
        || {
            let queue = Queue::install();
            let now = Some(std::time::Duration::ZERO);
            for signal in (1..=LAST).filter(|signal| ![9, 19].contains(signal)) {
                raise(signal);
                let found = queue.next(now).unwrap();
                assert_eq!((found.signal, found.from), (signal, Some(Pid::own())));
            }
            assert_eq!(queue.next(now), None);
        },
    );
}

#[test]
fn children_ignored_by_whoever_started_us_can_be_reaped_all_the_same() {
    let name =
        "sys::signals::tests::children_ignored_by_whoever_started_us_can_be_reaped_all_the_same";
    // The shell cannot ignore SIGCHLD for us; perl is in every Debian.
    let prelude = r#"set -- perl -e '$SIG{CHLD} = "IGNORE"; exec @ARGV' "$@""#;
    alone_after(prelude, name, || {
        assert!(is_ignored(libc::SIGCHLD));
        want_children();
        let mut child =
            std::process::Command::new("/bin/sh").args(["-c", "exit 7"]).spawn().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(7));
    });
}

#[test]
fn a_group_that_would_be_everybody_is_refused() {
    assert_eq!(kill_group(Pid::new(1).unwrap(), 0), Err(Errno(libc::EPERM)));
    assert_eq!(Pid::new(0), None);
    assert_eq!(Pid::new(-1), None);
}

#[test]
fn a_set_holds_exactly_what_was_put_in() {
    for signal in 1..=LAST {
        assert!(Set::FULL.contains(signal) && !Set::EMPTY.contains(signal));
        let only = Set::EMPTY.with(signal);
        assert_eq!((1..=LAST).filter(|&other| only.contains(other)).collect::<Vec<_>>(), [signal]);
        assert_eq!(only.without(signal), Set::EMPTY);
    }
    for none in [0, 65, -1, i32::MIN, i32::MAX] {
        assert_eq!(Set::EMPTY.with(none), Set::EMPTY);
    }
}

#[test]
fn blocking_reports_what_was_blocked_before() {
    let before = Set::FULL.block();
    let unblockable = Set::FULL.without(libc::SIGKILL).without(libc::SIGSTOP);
    assert_eq!(before.block(), unblockable);
}
