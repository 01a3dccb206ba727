//! Clients far away: their handshakes take longer than a worker takes to leave.

use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/capture/late.py");

/// In a network of their own, ten clients begin to connect, a roll comes, and they go on later.
#[track_caller]
fn ten_come_late(settings: &[(&str, &str)]) {
    let mut command = Command::new("unshare");
    command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    command.env("DUTCH_MASTER_WORKERS", "2");
    for (name, value) in settings {
        command.env(format!("DUTCH_MASTER_{name}"), value);
    }
    command.args(["--map-root-user", "--net", "/usr/bin/python3", SCRIPT]);
    let output = command.args([env!("CARGO_BIN_EXE_dutch-master"), "10", "2.5"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let wanted = "{'generation 1': 10} after 2.5 s, master ends with 0\n";
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
