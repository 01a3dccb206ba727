//! Runs the binary under its names, as PID 1 or not, and never for ever.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The binary.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_dutch-master");

/// What a process did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ended {
    /// As a shell shows it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A link to the binary with a peer's name.
pub(crate) fn link(name: &str) -> String {
    // Cargo's own folder for what tests make; a folder in /tmp would stay behind.
    let links = Path::new(env!("CARGO_TARGET_TMPDIR")).join("names");
    std::fs::create_dir_all(&links).unwrap();
    let (link, new) = (links.join(name), links.join(unique(name)));
    // Never missing, and always to this very binary, however many tests make it.
    std::os::unix::fs::symlink(BINARY, &new).unwrap();
    std::fs::rename(new, &link).unwrap();
    link.to_str().unwrap().to_owned()
}

/// A name that no other test has.
pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// `name` with arguments: `init` is the verb, others are links.
pub(crate) fn words(name: &str, arguments: &[&str]) -> Vec<String> {
    let program =
        if name == "init" { vec![BINARY.to_owned(), "init".to_owned()] } else { vec![link(name)] };
    program.into_iter().chain(arguments.iter().map(ToString::to_string)).collect()
}

/// Runs words to their end; killed, and the test failed, after two minutes.
pub(crate) fn run(words: &[String]) -> Ended {
    run_in("exec \"$@\"", words)
}

/// The same below a shell script that gets the words as `$@`.
pub(crate) fn run_in(script: &str, words: &[String]) -> Ended {
    let output = Command::new("timeout")
        .args(["--foreground", "-s", "KILL", "120", "sh", "-c", script, "sh"])
        .args(words)
        .env_remove("RUST_BACKTRACE")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let ended = Ended::of(&output);
    assert_ne!(ended.code, 137 + 1000, "still there after two minutes: {words:?}: {ended:?}");
    ended
}

impl Ended {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        // timeout(1) kills itself when it had to kill; what died by itself comes as 128 and more.
        let code = output.status.code().or(output.status.signal().map(|_| 137 + 1000)).unwrap();
        Self { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// `sh -c script` under an init.
pub(crate) fn sh(name: &str, options: &[&str], script: &str) -> Ended {
    run(&words(name, &[options, &["--", "sh", "-c", script]].concat()))
}

/// The same as PID 1 of its own PID namespace.
pub(crate) fn sh_as_pid_1(name: &str, options: &[&str], script: &str) -> Ended {
    assert!(is_root(), "this test needs root, for a PID namespace");
    let unshare = "exec unshare --pid --fork --kill-child --mount-proc \"$@\"";
    run_in(unshare, &words(name, &[options, &["--", "sh", "-c", script]].concat()))
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// All our names.
pub(crate) const NAMES: [&str; 4] = ["init", "tini", "dumb-init", "catatonit"];
