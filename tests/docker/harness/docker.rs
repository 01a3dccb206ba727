//! The docker command line, never waited for longer than two minutes.

use std::{
    env,
    process::{Command, Output},
};

/// The image with the binary and the tools.
pub(crate) fn image() -> String {
    env::var("DM_IMAGE").expect(
        "DM_IMAGE names no image: this suite needs a container engine and an image with the \
         binary and the tools; run it by scripts/test docker, which sets both up",
    )
}

/// The label by which scripts/test finds what a test has left behind.
pub(crate) fn label() -> String {
    env::var("DM_LABEL").unwrap_or_else(|_| "org.dutch-master.run=by-hand".to_owned())
}

fn run<S: AsRef<str>>(words: &[S]) -> Output {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    Command::new("timeout").args(["120", "docker"]).args(&words).output().expect("a docker client")
}

/// What a command printed: standard output, then standard error.
pub(crate) fn text_of(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Runs `docker WORDS`, which must succeed; returns its standard output.
#[track_caller]
pub(crate) fn docker<S: AsRef<str>>(words: &[S]) -> String {
    let output = run(words);
    let told: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    assert!(output.status.success(), "docker {}: {}", told.join(" "), text_of(&output));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Runs `docker WORDS`, whatever becomes of it.
pub(crate) fn docker_fails<S: AsRef<str>>(words: &[S]) -> Output {
    run(words)
}
