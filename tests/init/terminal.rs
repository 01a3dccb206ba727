//! A real terminal: who is in front, who gets the keys, and what a hang-up does.

use super::harness::{NAMES, words};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command};

/// A program in a session of its own, and the keyboard and screen of its terminal.
struct Terminal {
    side: File,
    child: Child,
}

/// The keyboard and screen of a new terminal, and its name.
fn pair() -> (File, String) {
    // SAFETY: numbers only; the new descriptor is ours.
    unsafe {
        let side = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        assert!(side >= 0 && libc::grantpt(side) == 0 && libc::unlockpt(side) == 0);
        let mut name = [0; 64];
        assert_eq!(libc::ptsname_r(side, name.as_mut_ptr(), name.len()), 0);
        let name = std::ffi::CStr::from_ptr(name.as_ptr()).to_str().unwrap().to_owned();
        (File::from_raw_fd(side), name)
    }
}

impl Terminal {
    /// Runs a shell script with the words as `$@`.
    fn of(script: &str, words: &[String]) -> Self {
        let (side, name) = pair();
        let open = || File::options().read(true).write(true).open(&name).unwrap();
        let child = Command::new("timeout")
            .args([
                "--foreground",
                "-s",
                "KILL",
                "120",
                "setsid",
                "-c",
                "-w",
                "sh",
                "-c",
                script,
                "sh",
            ])
            .args(words)
            .stdin(open())
            .stdout(open())
            .stderr(open())
            .spawn()
            .unwrap();
        Self { side, child }
    }

    fn until(&mut self, text: &str) {
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(text) {
            let mut byte = [0];
            self.side.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
    }

    /// Everything on the screen until the end; the exit code.
    fn end(mut self) -> (String, i32) {
        let mut seen = Vec::new();
        // EIO: nobody has the terminal open any more.
        let _ = self.side.read_to_end(&mut seen);
        (String::from_utf8_lossy(&seen).into_owned(), self.child.wait().unwrap().code().unwrap())
    }
}

/// Process group, and the one in front.
const GROUPS: &str = "cut -d' ' -f5,8 /proc/self/stat";

fn numbers(text: &str) -> Vec<Vec<i32>> {
    let line = |line: &str| line.split_whitespace().map(|word| word.parse().unwrap()).collect();
    text.lines().map(line).collect()
}

#[test]
fn the_child_is_in_front_and_gives_the_terminal_back() {
    for name in ["init", "tini", "catatonit"] {
        let script = format!("{GROUPS}; \"$@\"; {GROUPS}");
        let (said, _) = Terminal::of(&script, &words(name, &["--", "sh", "-c", GROUPS])).end();
        let groups = numbers(&said);
        assert!(groups.iter().all(|groups| groups[0] == groups[1]), "{name} {said}");
        assert!(groups[0] == groups[2] && groups[0] != groups[1], "{name} {said}");
    }
}

#[test]
fn the_terminal_is_never_taken_from_somebody_else() {
    for name in NAMES {
        let script = "set -m; \"$@\" & wait";
        let (said, _) = Terminal::of(script, &words(name, &["--", "sh", "-c", GROUPS])).end();
        let groups = numbers(&said);
        assert!(groups[0][0] != groups[0][1], "{name} {said}");
    }
}

#[test]
fn the_keys_reach_the_child() {
    for name in NAMES {
        let child = "trap 'exit 5' INT; echo ready; while :; do sleep 0.01; done";
        let mut terminal = Terminal::of("exec \"$@\"", &words(name, &["--", "sh", "-c", child]));
        terminal.until("ready");
        terminal.side.write_all(&[3]).unwrap();
        assert_eq!(terminal.end().1, 5, "{name}");
    }
}

#[test]
fn a_hung_up_terminal_ends_child_and_init() {
    for name in NAMES {
        let child = "trap 'exit 5' HUP; echo ready; while :; do sleep 0.01; done";
        let mut terminal = Terminal::of("exec \"$@\"", &words(name, &["--", "sh", "-c", child]));
        terminal.until("ready");
        drop(terminal.side);
        assert_eq!(terminal.child.wait().unwrap().code(), Some(5), "{name}");
    }
}

#[test]
fn a_standard_input_that_hung_up_before_the_start_does_no_harm() {
    for name in NAMES {
        let (side, slave) = pair();
        let flags = libc::O_NOCTTY;
        let input = File::options().read(true).write(true).custom_flags(flags).open(slave).unwrap();
        drop(side);
        let words = words(name, &["--", "sh", "-c", "exit 4"]);
        let output = Command::new("timeout")
            .args(["-s", "KILL", "120"])
            .args(words)
            .stdin(input)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(4), "{name} {output:?}");
        assert!(output.stderr.is_empty(), "{name} {output:?}");
    }
}

const GOES_ON: &str =
    "perl -e '$| = 1; $SIG{CONT} = sub { print q{again}; exit 5 }; print q{ready};
    sleep 1 for 1 .. 60'";

#[test]
fn a_child_stopped_by_a_key_stops_us_below_a_shell_and_goes_on_with_us() {
    for name in ["init", "tini", "catatonit"] {
        let script = "set -m; \"$@\"; echo back; fg >&2; exit $?";
        let mut terminal = Terminal::of(script, &words(name, &["--", "sh", "-c", GOES_ON]));
        terminal.until("ready");
        terminal.side.write_all(&[26]).unwrap();
        terminal.until("back");
        let (said, code) = terminal.end();
        assert!(said.contains("again") && code == 5, "{name} {code} {said}");
    }
}

#[test]
fn a_child_stopped_by_a_key_goes_on_where_there_is_no_shell() {
    for name in ["init", "tini", "catatonit"] {
        let mut terminal = Terminal::of("exec \"$@\"", &words(name, &["--", "sh", "-c", GOES_ON]));
        terminal.until("ready");
        terminal.side.write_all(&[26]).unwrap();
        let (said, code) = terminal.end();
        assert!(said.contains("again") && code == 5, "{name} {code} {said}");
    }
}

#[test]
fn dumb_init_hands_the_terminal_to_the_new_session() {
    let own = "cut -d' ' -f1,5,6,8 /proc/$$/stat";
    let (said, code) = Terminal::of("exec \"$@\"", &words("dumb-init", &["sh", "-c", own])).end();
    let numbers = numbers(&said);
    assert!(numbers[0].iter().all(|&number| number == numbers[0][0]) && code == 0, "{said}");
}
