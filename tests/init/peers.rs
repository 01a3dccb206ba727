//! Side by side with the tools whose place we take: same words in, same words and code out.

use super::harness::{Ended, link, run_in, sh, words};
use std::path::Path;

/// The tool of Debian's package, and ours, with the same name and arguments.
fn both(name: &str, prelude: &str, arguments: &[&str]) -> (Ended, Ended) {
    let theirs = format!("/usr/bin/{name}");
    assert!(Path::new(&theirs).exists(), "this test needs Debian's package {name}");
    let ours = link(name);
    let from = |program: &str| {
        let folder = Path::new(program).parent().unwrap().display().to_string();
        let script = format!("PATH={folder}:$PATH; {prelude} exec {name} \"$@\"");
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        let Ended { code, stdout, stderr } = run_in(&script, &arguments);
        Ended { code, stdout: without_pids(&stdout), stderr: without_pids(&stderr) }
    };
    (from(&theirs), from(&ours))
}

/// Pids differ from run to run: numbers of three and more digits, but those of years and errors.
fn without_pids(text: &str) -> String {
    let mut out = String::new();
    let mut digits = String::new();
    for char in text.chars().chain(['\0']) {
        if char.is_ascii_digit() {
            digits.push(char);
            continue;
        }
        out.push_str(if digits.len() > 2 { "N" } else { &digits });
        digits.clear();
        out.extend(Some(char).filter(|&char| char != '\0'));
    }
    out
}

fn same(name: &str, prelude: &str, cases: &[&[&str]]) {
    for arguments in cases {
        let (theirs, ours) = both(name, prelude, arguments);
        assert_eq!(ours, theirs, "{name} {arguments:?}");
    }
}

/// Makes an orphan, and ends when the init has reaped it.
const ORPHAN: &str = "orphan=$(sleep 60 >/dev/null & echo $!); kill $orphan
    while [ -d /proc/$orphan ]; do sleep 0.01; done; exit 4";

#[test]
fn tini_is_tini() {
    let none: &[&str] = &[];
    same(
        "tini",
        "",
        &[
            none,
            &["-h"],
            &["--version"],
            &["--version", "true"],
            &["-x"],
            &["-p"],
            &["-p", "TERM", "true"],
            &["-p", "SIGNOPE", "true"],
            &["-e"],
            &["-e", "256", "true"],
            &["-e", "x", "true"],
            &["-s", "nosuch"],
            &["-s", "/etc/passwd"],
            &["-s", "--", "sh", "-c", "exit 4"],
            &["-s", "-e", "3", "--", "sh", "-c", "exit 3"],
            &["-s", "-e", "143", "--", "sh", "-c", "kill $$"],
            &["-s", "--", "sh", "-c", "kill -9 $$"],
            &["-sv", "--", "sh", "-c", "kill -11 $$"],
            &["-s", "-vv", "true"],
            &["-sw", "--", "sh", "-c", ORPHAN],
            &["-sp", "SIGTERM", "true"],
            &["-g", "-s", "--", "sh", "-c", "exit 1"],
        ],
    );
    same("tini", "export TINI_SUBREAPER= TINI_VERBOSITY=3 TINI_KILL_PROCESS_GROUP=;", &[&["true"]]);
    same("tini", "export TINI_SUBREAPER= TINI_VERBOSITY=0;", &[&["-w", "--", "sh", "-c", ORPHAN]]);
}

#[test]
fn dumb_init_is_dumb_init() {
    let none: &[&str] = &[];
    same(
        "dumb-init",
        "",
        &[
            none,
            &["-h"],
            &["--help"],
            &["-V"],
            &["--vers"],
            &["--ver"],
            &["-x"],
            &["--foo"],
            &["-r"],
            &["-r", "15", "true"],
            &["-r", "15:a", "true"],
            &["-r", "15:32", "true"],
            &["-r", "0:3", "true"],
            &["-r", "15:3x", "true"],
            &["--rewrite=15:2", "true"],
            &["--single", "true"],
            &["nosuch"],
            &["/etc/passwd"],
            &["--", "sh", "-c", "exit 3"],
            &["sh", "-c", "kill -9 $$"],
            &["-c", "-v", "sh", "-c", "exit 3"],
            &["-c", "-v", "-r", "15:0", "sh", "-c", "kill $PPID; sleep 0.2"],
            &["-c", "-v", "-r", "15:2", "sh", "-c", "kill $PPID; sleep 5"],
        ],
    );
    same("dumb-init", "export DUMB_INIT_DEBUG=1 DUMB_INIT_SETSID=0;", &[&["sh", "-c", "exit 3"]]);
}

#[test]
fn catatonit_is_catatonit() {
    let none: &[&str] = &[];
    same(
        "catatonit",
        "",
        &[
            none,
            &["--"],
            &["-h"],
            &["-V"],
            &["--version"],
            &["-x"],
            &["--foo"],
            &["nosuch"],
            &["/etc/passwd"],
            &["--", "sh", "-c", "exit 5"],
            &["--", "sh", "-c", "kill -9 $$"],
            &["-g", "true"],
        ],
    );
}

#[test]
fn docker_finds_the_version_it_looks_for() {
    let version = |name: &str| super::harness::run(&words(name, &["--version"])).stdout;
    assert_eq!(version("docker-init"), "tini version 0.19.0 - git.de40ad0\n");
    assert_eq!(version("tini-static"), "tini version 0.19.0\n");
}

#[test]
fn licences_are_ours() {
    for (name, letter) in [("tini", "-l"), ("catatonit", "-L")] {
        let ended = super::harness::run(&words(name, &[letter]));
        assert!(ended.code == 0 && ended.stdout.contains("Permission is hereby granted"), "{name}");
    }
}

#[test]
fn a_pause_ends_by_term_or_int_only() {
    for signal in ["TERM", "INT"] {
        // Before it waits for signals, they would end it.
        let script = format!(
            "\"$@\" & until readlink /proc/$!/exe | grep -q 'dutch-master$' &&
                [ $(cut -d' ' -f3 /proc/$!/stat) = S ]; do :; done
            kill -HUP $!; kill -USR1 $!; kill -{signal} $!; wait $!"
        );
        assert_eq!(run_in(&script, &words("catatonit", &["-P"])).code, 0, "{signal}");
    }
}

#[test]
fn dumb_init_gives_a_session_and_ends_what_is_left_of_it() {
    let stat = "cut -d' ' -f5,6 /proc/$$/stat; echo $$";
    let numbers = |options: &[&str]| -> Vec<String> {
        let said = sh("dumb-init", options, stat).stdout;
        said.split_whitespace().map(str::to_owned).collect()
    };
    let own = numbers(&[]);
    assert!(own[0] == own[2] && own[1] == own[2], "{own:?}");
    let shared = numbers(&["-c"]);
    assert!(shared[0] != shared[2] && shared[1] != shared[2], "{shared:?}");
    let left = "trap 'exit 3' WINCH
        (trap 'echo told; exit' TERM; kill -WINCH $$; while :; do sleep 0.01; done) & while :; do sleep 0.01; done";
    let ended = sh("dumb-init", &[], left);
    assert_eq!((ended.code, ended.stdout.as_str()), (3, "told\n"), "{ended:?}");
}

#[test]
fn dumb_init_stops_with_its_session_and_goes_on_with_it() {
    let script = "\"$@\" & init=$!
        state() { cut -d' ' -f3 /proc/$1/stat; }
        until child=$(cat /proc/$init/task/$init/children) && [ \"$child\" ]; do :; done
        kill -TSTP $init; until [ $(state $init)$(state $child) = TT ]; do :; done
        kill -CONT $init; until [ $(state $init)$(state $child) = SS ]; do :; done
        kill $init; wait $init";
    assert_eq!(run_in(script, &words("dumb-init", &["sleep", "20"])).code, 143);
}
