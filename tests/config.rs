//! The built binary, asked for what needs no running master: settings, help, faults, exit codes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output};

/// The binary with only these variables.
fn run(variables: &[(&str, &str)], words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dutch-master"));
    command.env_clear().args(words);
    for (name, value) in variables {
        command.env(name, value);
    }
    command.output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn bad_values_exit_78_and_are_told_all_at_once_on_standard_error() {
    let output = run(
        &[("DUTCH_MASTER_WORKERS", "none"), ("DUTCH_MASTER_KILL_TIMEOUT", "5x")],
        &["--nice", "low", "true"],
    );
    assert_eq!(code(&output), 78);
    assert_eq!(out(&output), "");
    let told = err(&output);
    assert_eq!(told.lines().count(), 3, "{told}");
    for start in [
        "dutch-master: DUTCH_MASTER_WORKERS=none: ",
        "dutch-master: DUTCH_MASTER_KILL_TIMEOUT=5x: \"x\" is not a unit of time",
        "dutch-master: --nice=low: ",
    ] {
        assert!(told.lines().any(|line| line.starts_with(start)), "{start}\n{told}");
    }
}

#[test]
fn bad_usage_exits_64() {
    for words in [&[][..], &["--colour"], &["--workers"], &["exec"], &["scale"], &["man", "x"]] {
        let output = run(&[], words);
        assert_eq!(code(&output), 64, "{words:?}");
        assert!(err(&output).starts_with("dutch-master: "), "{words:?}");
    }
}

#[test]
fn config_shows_every_setting_with_its_origin_and_no_secret() {
    let variables = [
        ("DUTCH_MASTER_WORKERS", "4"),
        ("DUTCH_MASTER_WORKER_ENV_TOKEN", "hunter2"),
        ("DUTCH_MASTER_KILL_TIMEOT", "5s"),
    ];
    let output = run(&variables, &["config", "--stop-signal", "QUIT"]);
    assert_eq!(code(&output), 0);
    let text = out(&output);
    assert!(text.contains("  DUTCH_MASTER_WORKERS=4\n      from the environment, default auto: "));
    assert!(text.contains("  DUTCH_MASTER_STOP_SIGNAL=QUIT\n      from the command line, "));
    assert!(text.contains("  DUTCH_MASTER_WORKER_ENV_TOKEN (set, not shown)\n"));
    assert!(text.contains("  DUTCH_MASTER_USER (not set)\n"));
    assert!(!text.contains("hunter2"));
    assert!(err(&output).contains("did you mean DUTCH_MASTER_KILL_TIMEOUT?"));

    let output = run(&variables, &["config", "--json"]);
    assert_eq!(code(&output), 0);
    assert!(!out(&output).contains("hunter2"));
    let found: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    let settings = found["settings"].as_array().unwrap();
    let workers =
        settings.iter().find(|setting| setting["variable"] == "DUTCH_MASTER_WORKERS").unwrap();
    assert_eq!(workers["value"], "4");
    assert_eq!(workers["source"], "environment");
    assert_eq!(workers["default"], "auto");
    assert_eq!(workers["flag"], "--workers");
    let token = settings.iter().find(|setting| setting["secret"] == true).unwrap();
    assert_eq!(token["variable"], "DUTCH_MASTER_WORKER_ENV_TOKEN");
    assert!(token["value"].is_null());
}

#[test]
fn help_version_man_and_completions_work_with_a_broken_environment() {
    let broken = [("DUTCH_MASTER_WORKERS", "none")];
    for (words, holds) in [
        (&["--help"][..], "--kill-timeout TIME"),
        (&["-h"], "Usage: dutch-master"),
        (&["run", "--help"], "Usage: dutch-master"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["-V"], "dutch-master "),
        (&["man"], ".SH EXIT STATUS"),
        (&["completions", "bash"], "complete -o default -F _dutch_master dutch-master"),
        (&["completions", "zsh"], "#compdef dutch-master"),
        (&["completions", "fish"], " -l kill-timeout "),
    ] {
        let output = run(&broken, words);
        assert_eq!(code(&output), 0, "{words:?}");
        assert!(out(&output).contains(holds), "{words:?}: {}", out(&output));
        assert_eq!(err(&output), "", "{words:?}");
    }
}

#[test]
fn bash_reads_its_completions_and_completes_options_values_and_verbs() {
    for (line, wanted) in [
        ("dutch-master --kill-t", "--kill-timeout"),
        ("dutch-master --balance sha", "shared"),
        ("dutch-master --balance = sha", "shared"),
        ("dutch-master conf", "config"),
        ("dutch-master completions z", "zsh"),
    ] {
        let script = "eval \"$1\"; COMP_WORDS=($2); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); \
                      _dutch_master; printf '%s\\n' \"${COMPREPLY[@]}\"";
        let completions = out(&run(&[], &["completions", "bash"]));
        let output =
            Command::new("bash").args(["-c", script, "bash", &completions, line]).output().unwrap();
        let found = out(&output);
        assert!(found.lines().any(|word| word == wanted), "{line}: {found} {}", err(&output));
    }
}

#[test]
fn a_variable_that_is_no_text_is_a_fault_only_when_it_is_ours() {
    let odd = OsStr::from_bytes(b"\xff");
    let program = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dutch-master"));
        command.env_clear().arg("config");
        command
    };
    assert_eq!(code(&program().env("SOMETHING", odd).output().unwrap()), 0);
    assert_eq!(code(&program().env(odd, "x").output().unwrap()), 0);
    assert_eq!(code(&program().env("DUTCH_MASTER_CHDIR", odd).output().unwrap()), 0);
    assert_eq!(code(&program().arg("--chdir").arg(odd).arg(odd).output().unwrap()), 0);
    let output = program().env("DUTCH_MASTER_USER", odd).output().unwrap();
    assert_eq!(code(&output), 78);
    assert!(err(&output).contains("is not UTF-8"));
}

#[test]
fn kubernetes_service_links_are_ignored_in_silence() {
    let output = run(
        &[
            ("DUTCH_MASTER_PORT", "tcp://10.0.0.1:80"),
            ("DUTCH_MASTER_PORT_80_TCP_PROTO", "tcp"),
            ("DUTCH_MASTER_SERVICE_HOST", "10.0.0.1"),
        ],
        &["config"],
    );
    assert_eq!((code(&output), err(&output)), (0, String::new()));
}

#[test]
fn exec_becomes_a_command_that_finds_its_sockets() {
    let sockets = [("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "http:admin"), ("LISTEN_PID", "1")];
    let words = ["exec", "--", "/bin/sh", "-c", "test $LISTEN_PID = $$ && echo {fd:admin}"];
    let output = run(&sockets, &words);
    assert_eq!((code(&output), out(&output)), (0, "4\n".to_owned()), "{}", err(&output));
}

#[test]
fn exec_of_what_cannot_be_exits_as_a_shell_does() {
    for (command, expected) in [("/no/such/program", 127), ("/etc/passwd", 126), ("{fd:http}", 64)]
    {
        let output = run(&[], &["exec", command]);
        assert_eq!(code(&output), expected, "{command}: {}", err(&output));
        assert!(err(&output).starts_with("dutch-master: "), "{}", err(&output));
    }
}
