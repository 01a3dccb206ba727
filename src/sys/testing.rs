//! For tests that must have a process of their own: they change signals, ids or every child.
#![cfg(test)]

use std::process::{Command, Output};

const MARK: &str = "DUTCH_MASTER_TEST_ALONE";

/// Runs `body` in a fresh process with one thread; `test` is this test's own full name.
pub(super) fn alone(test: &str, body: fn()) {
    alone_after("", test, body);
}

/// The same, after the shell has run `prelude` in that process.
pub(super) fn alone_after(prelude: &str, test: &str, body: fn()) {
    if std::env::vars_os().any(|(name, _)| name == MARK) {
        return body();
    }
    let output = in_a_shell(prelude, test);
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{}{}", lossy(&output.stdout), lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{}: {said}", output.status);
}

fn in_a_shell(prelude: &str, test: &str) -> Output {
    Command::new("sh")
        .args(["-c", &format!("{prelude}\nexec \"$@\"")])
        .arg("sh")
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .output()
        .unwrap()
}

/// The numbers of our open descriptors.
pub(super) fn open_descriptors() -> Vec<String> {
    let listing = std::fs::read_dir("/proc/self/fd").unwrap();
    let mut numbers: Vec<_> =
        listing.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    numbers.sort();
    numbers
}
