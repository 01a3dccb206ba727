//! Networks unlike this one: clients that are far away, and a loopback without IPv6.

use std::process::{Command, Output};

/// Runs a script in a network of its own, where it may do what it likes.
fn run(script: &str, words: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new("unshare");
    command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    command.env("DUTCH_MASTER_WORKERS", "2");
    for (name, value) in settings {
        command.env(format!("DUTCH_MASTER_{name}"), value);
    }
    command.args(["--map-root-user", "--net", "/usr/bin/python3"]);
    command.arg(format!("{}/tests/capture/{script}", env!("CARGO_MANIFEST_DIR")));
    command.arg(env!("CARGO_BIN_EXE_dutch-master")).args(words).output().unwrap()
}

/// In a network of their own, ten clients begin to connect, a roll comes, and they go on later.
#[track_caller]
fn ten_come_late(settings: &[(&str, &str)]) {
    let output = run("late.py", &["10", "1.5"], settings);
    let said = String::from_utf8(output.stdout).unwrap();
    let wanted = "{'generation 1': 10} after 1.5 s, master ends with 0\n";
    assert_eq!(said, wanted, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_captured_worker_does_not_leave_before_its_handshakes_are_over() {
    ten_come_late(&[("CONTRACT", "capture")]);
}

#[test]
fn a_worker_with_a_socket_of_listen_does_not_leave_before_its_handshakes_are_over() {
    ten_come_late(&[("LISTEN", "tcp://0.0.0.0:8000"), ("READY", "delay:300ms")]);
}

#[test]
fn a_worker_that_stood_still_serves_again_where_the_loopback_has_no_ipv6() {
    let output = run("still.py", &[], &[("CONTRACT", "capture")]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "served again: True\n", "{}", String::from_utf8_lossy(&output.stderr));
}
