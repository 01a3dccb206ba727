//! `sd_notify(3)`: every assignment, and that no datagram can do harm.

use dutch_master::wire::notify::{
    Access, DATAGRAM_LIMIT, Notice, NotifyError, STATUS_LIMIT, is_fd_name, parse,
};
use proptest::prelude::*;

fn one(line: &str) -> Notice {
    let notices = parse(line.as_bytes()).unwrap();
    assert_eq!(notices.len(), 1, "{line}");
    notices.into_iter().next().unwrap()
}

#[test]
fn every_assignment_of_sd_notify_is_understood() {
    let table = [
        ("READY=1", Notice::Ready),
        ("STOPPING=1", Notice::Stopping),
        ("RELOADING=1", Notice::Reloading),
        ("MONOTONIC_USEC=12", Notice::MonotonicUsec(12)),
        ("STATUS=warming up = 40 %", Notice::Status("warming up = 40 %".into())),
        ("STATUS=", Notice::Status(String::new())),
        ("ERRNO=2", Notice::Errno(2)),
        (
            "BUSERROR=org.freedesktop.DBus.Error.TimedOut",
            Notice::BusError("org.freedesktop.DBus.Error.TimedOut".into()),
        ),
        ("EXIT_STATUS=3", Notice::ExitStatus(3)),
        ("MAINPID=4711", Notice::MainPid(4711)),
        ("WATCHDOG=1", Notice::Watchdog),
        ("WATCHDOG=trigger", Notice::WatchdogTrigger),
        ("WATCHDOG_USEC=20000000", Notice::WatchdogUsec(20_000_000)),
        ("EXTEND_TIMEOUT_USEC=18446744073709551615", Notice::ExtendTimeoutUsec(u64::MAX)),
        ("FDSTORE=1", Notice::FdStore),
        ("FDSTOREREMOVE=1", Notice::FdStoreRemove),
        ("FDNAME=state", Notice::FdName("state".into())),
        ("FDPOLL=0", Notice::FdPoll(false)),
        ("FDPOLL=yes", Notice::FdPoll(true)),
        ("NOTIFYACCESS=none", Notice::NotifyAccess(Access::None)),
        ("NOTIFYACCESS=main", Notice::NotifyAccess(Access::Main)),
        ("NOTIFYACCESS=exec", Notice::NotifyAccess(Access::Exec)),
        ("NOTIFYACCESS=all", Notice::NotifyAccess(Access::All)),
        ("BARRIER=1", Notice::Barrier),
        ("X_RESTART=1", Notice::RestartRequested),
    ];
    for (line, notice) in table {
        assert_eq!(one(line), notice, "{line}");
    }
}

#[test]
fn a_datagram_holds_several_assignments_in_their_order() {
    let text = b"READY=1\nSTATUS=serving\n\nMAINPID=7\n";
    let expected = [Notice::Ready, Notice::Status("serving".into()), Notice::MainPid(7)];
    assert_eq!(parse(text).unwrap(), expected);
    assert_eq!(parse(b"READY=1\n\0").unwrap(), [Notice::Ready]);
    assert_eq!(parse(b"").unwrap(), []);
}

#[test]
fn what_is_unknown_or_malformed_is_counted_and_the_rest_obeyed() {
    let text = b"X_OTHER=5\nhello\nREADY=1\n=1\nVARLINKERROR=a.b\nWATCHDOG=2";
    assert_eq!(parse(text).unwrap(), [Notice::Ready, Notice::Unknown(2), Notice::Malformed(3)]);
}

#[test]
fn a_value_that_its_key_does_not_allow_means_nothing() {
    for line in [
        "READY=0",
        "READY=",
        "READY=1 ",
        "STOPPING=yes",
        "MAINPID=0",
        "MAINPID=1",
        "MAINPID=-4",
        "MAINPID=2147483648",
        "MAINPID=abc",
        "ERRNO=0",
        "ERRNO=4096",
        "ERRNO=-1",
        "EXIT_STATUS=256",
        "WATCHDOG_USEC=+1",
        "WATCHDOG_USEC=",
        "WATCHDOG_USEC=18446744073709551616",
        "EXTEND_TIMEOUT_USEC=1.5",
        "MONOTONIC_USEC= 1",
        "FDNAME=",
        "FDNAME=a:b",
        "FDNAME=\u{e9}",
        "FDPOLL=2",
        "NOTIFYACCESS=some",
        "BUSERROR=nodot",
        "X_RESTART=2",
        "READY",
        "=",
        "=1",
    ] {
        assert_eq!(one(line), Notice::Malformed(1), "{line}");
    }
    assert_eq!(parse(b"MAINPID=\xff1").unwrap(), [Notice::Malformed(1)]);
}

#[test]
fn a_datagram_that_systemd_would_refuse_is_refused() {
    assert_eq!(parse(&[b'a'; DATAGRAM_LIMIT + 1]), Err(NotifyError::TooLong));
    assert!(parse(&[b'a'; DATAGRAM_LIMIT]).is_ok());
    assert_eq!(parse(b"READY=1\0\nSTATUS=x"), Err(NotifyError::EmbeddedNul));
    assert_eq!(parse(b"BARRIER=1\nREADY=1"), Err(NotifyError::CrowdedBarrier));
    assert_eq!(parse(b"BARRIER=1\nFOO=1"), Err(NotifyError::CrowdedBarrier));
}

#[test]
fn a_refusal_says_what_is_wrong_with_the_notification() {
    let refused = |datagram: &[u8]| parse(datagram).unwrap_err().to_string();
    let long = refused(&[b'a'; DATAGRAM_LIMIT + 1]);
    assert_eq!(long, "a notification of more than 4096 bytes");
    assert_eq!(refused(b"READY=1\0\nSTATUS=x"), "a notification with a NUL inside");
    let crowded = refused(b"BARRIER=1\nREADY=1");
    assert_eq!(crowded, "BARRIER=1 must stand alone in its notification");
}

#[test]
fn a_status_cannot_speak_to_the_terminal() {
    let status = |bytes: &[u8]| match parse(&[b"STATUS=", bytes].concat()).unwrap().remove(0) {
        Notice::Status(text) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(status(b"a\x1b[31mred\x07\tb\x7f"), "a [31mred  b ");
    assert_eq!(status("a\u{202e}b\u{9b}c\u{2028}d".as_bytes()), "ab cd");
    assert_eq!(status(b"caf\xc3\xa9 \xff!"), "caf\u{e9} \u{fffd}!");
    assert_eq!(status(&[b'x'; 2000]).len(), STATUS_LIMIT);
    assert!(status(&[0xff; 2000]).len() <= STATUS_LIMIT);
}

#[test]
fn a_descriptor_name_is_what_systemd_allows() {
    assert!(is_fd_name("http") && is_fd_name("a b-c.d~"));
    assert!(is_fd_name(&"n".repeat(255)) && !is_fd_name(&"n".repeat(256)));
    assert!(!is_fd_name("") && !is_fd_name("a:b") && !is_fd_name("a\n") && !is_fd_name("\u{e4}"));
}

proptest! {
    #[test]
    fn no_datagram_panics_or_leaves_a_control_character(
        bytes in proptest::collection::vec(any::<u8>(), 0..600)
    ) {
        for notice in parse(&bytes).into_iter().flatten() {
            if let Notice::Status(text) | Notice::FdName(text) | Notice::BusError(text) = notice {
                prop_assert!(!text.chars().any(char::is_control));
            }
        }
    }

    #[test]
    fn no_assignment_with_a_known_key_panics(
        key in prop_oneof![
            Just("STATUS"), Just("MAINPID"), Just("ERRNO"), Just("WATCHDOG_USEC"), Just("FDNAME"),
            Just("EXIT_STATUS"), Just("BUSERROR")
        ],
        value in "\\PC{0,40}",
    ) {
        prop_assert_eq!(parse(format!("{key}={value}").as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn every_number_survives(usec: u64, pid in 2..i32::MAX) {
        let text = format!("WATCHDOG_USEC={usec}\nMAINPID={pid}");
        let expected = [Notice::WatchdogUsec(usec), Notice::MainPid(pid.unsigned_abs())];
        prop_assert_eq!(parse(text.as_bytes()).unwrap(), expected);
    }
}
