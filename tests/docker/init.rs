//! `docker run --init` with this binary in docker-init's place.
//!
//! `scripts/test` starts its engine with `--init-path`. An engine that was there already brings an
//! init of its own; then ours is put where the engine would put it, and called as the engine would.

use std::time::Instant;

use crate::{
    harness::{docker, docker_fails, image, label},
    terminal::at_terminal,
};

/// Whether the engine was started with this binary for its init.
fn is_the_engines() -> bool {
    std::env::var("DM_INIT").is_ok_and(|path| {
        assert_eq!(docker(&["info", "--format", "{{.InitBinary}}"]), path);
        true
    })
}

/// `docker run OPTIONS --init IMAGE COMMAND`.
fn run(options: &[&str], command: &[&str]) -> Vec<String> {
    let image = image();
    let label = label();
    let mut words = vec!["run", "--label", &label, "--network", "none"];
    words.extend(options);
    if is_the_engines() {
        words.extend(["--init", &image]);
    } else {
        words.extend(["--entrypoint", "/docker-init", &image, "--"]);
    }
    words.iter().chain(command).map(ToString::to_string).collect()
}

#[test]
fn the_engine_knows_our_version() {
    if is_the_engines() {
        assert_eq!(docker(&["info", "--format", "{{.InitCommit.ID}}"]), "de40ad0");
    }
}

#[test]
fn the_exit_code_is_the_commands() {
    let ended = docker_fails(&run(&["--rm"], &["/probe", "cat", "/no/such/file"]));
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let ended = docker_fails(&run(&["--rm"], &["/no-such-program"]));
    assert_eq!(ended.status.code(), Some(127), "{ended:?}");
    let said = docker(&run(&["--rm"], &["/probe", "cat", "/proc/1/comm"]));
    assert_eq!(said, "docker-init", "nothing but the command's own output");
}

#[test]
fn docker_stop_reaches_the_command() {
    let id = docker(&run(&["--detach", "--interactive"], &["/probe", "tty"]));
    let began = Instant::now();
    docker(&["stop", "--time", "30", &id]);
    let code = docker(&["wait", &id]);
    docker(&["rm", "--force", &id]);
    assert_eq!(code, "143");
    assert!(began.elapsed().as_secs() < 20, "not by SIGKILL");
}

#[test]
fn a_terminal_is_the_commands() {
    let (code, text) =
        at_terminal(&run(&["--rm", "--interactive", "--tty"], &["/probe", "tty"]), b"hello\n");
    assert!(text.contains("terminal=true foreground=true"), "{text}");
    assert!(text.contains("you said hello") && code == 5, "{text}");
}
