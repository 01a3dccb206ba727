//! `docker run -it`: a person at a terminal.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::harness::{Setup, together};

/// Runs `/probe tty` in a container at a terminal and types `keys` once it has asked; the exit code and
/// what stood on the terminal.
fn typed(command: &str, keys: &[u8]) -> (i32, String) {
    at_terminal(&Setup::command(command).words(&["--rm", "--interactive", "--tty"]), keys)
}

/// The same with everything that stands behind `docker`.
pub(crate) fn at_terminal(words: &[String], keys: &[u8]) -> (i32, String) {
    let words = words.join(" ");
    let mut script = Command::new("timeout")
        .args(["120", "script", "--quiet", "--return", "--command", &format!("docker {words}")])
        .arg("/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script, of Debian's util-linux");
    let mut keyboard = script.stdin.take().unwrap();
    let mut screen = script.stdout.take().unwrap();
    let mut text = vec![];
    let mut piece = [0; 1024];
    while !String::from_utf8_lossy(&text).contains("type something") {
        let got = screen.read(&mut piece).unwrap();
        assert!(got > 0, "no question on the terminal: {}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&piece[..got]);
    }
    keyboard.write_all(keys).unwrap();
    let reader = thread::spawn(move || {
        screen.read_to_end(&mut text).unwrap();
        text
    });
    let end = Instant::now() + Duration::from_secs(90);
    let status = loop {
        if let Some(status) = script.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < end, "the session does not end");
        thread::sleep(Duration::from_millis(50));
    };
    drop(keyboard);
    let text = String::from_utf8_lossy(&reader.join().unwrap()).into_owned();
    (status.code().unwrap_or(-1), text)
}

#[test]
fn a_command_at_a_terminal_is_the_foreground_and_its_code_is_the_containers() {
    let _company = together();
    for command in ["/probe tty", "init /probe tty"] {
        let (code, text) = typed(command, b"hello\n");
        assert!(text.contains("terminal=true foreground=true"), "{text}");
        assert!(text.contains("you said hello"), "{text}");
        assert_eq!(code, 5, "{text}");
    }
}

#[test]
fn control_c_at_a_terminal_reaches_the_command_and_not_the_master() {
    let _company = together();
    let (code, text) = typed("/probe tty", b"\x03");
    assert_eq!(code, 130, "{text}");
}

#[test]
fn control_z_does_not_stop_what_nobody_could_continue() {
    let _company = together();
    for command in ["/probe tty", "init /probe tty"] {
        let (code, text) = typed(command, b"\x1ahello\n");
        assert!(text.contains("you said hello") && code == 5, "{text}");
    }
}
