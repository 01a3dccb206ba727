//! The options of `dutch-master init`.

use super::harness::{Ended, run, sh, words};

fn init(arguments: &[&str]) -> Ended {
    run(&words("init", arguments))
}

#[test]
fn signals_are_rewritten_by_name() {
    // Only where no signal is to come does it end by itself.
    let on = |sent: &str, waits: u32| {
        format!(
            "exec perl -e '$SIG{{QUIT}} = sub {{ exit 3 }}; kill q{{{sent}}}, getppid; sleep {waits}'"
        )
    };
    assert_eq!(sh("init", &["--rewrite", "TERM:QUIT,HUP:0"], &on("TERM", 60)).code, 3);
    assert_eq!(sh("init", &["-r", "TERM:QUIT", "-rHUP:0"], &on("HUP", 1)).code, 0);
    assert_eq!(sh("init", &["-r", "TERM:QUIT"], &on("HUP", 60)).code, 129);
}

#[test]
fn exit_codes_are_remapped_by_number_or_signal() {
    let codes = ["--exit-code", "TERM:0,7:9"];
    assert_eq!(sh("init", &codes, "kill $$").code, 0);
    assert_eq!(sh("init", &codes, "exit 7").code, 9);
    assert_eq!(sh("init", &codes, "exit 8").code, 8);
}

#[test]
fn a_child_that_does_not_stop_is_killed_in_time() {
    let deaf = "trap '' TERM; kill -TERM $PPID; sleep 30 & wait; sleep 30";
    let ended = sh("init", &["--kill-after", "100ms"], deaf);
    assert_eq!(ended.code, 137);
    assert!(ended.stderr.contains("did not stop in time: sent SIGKILL"), "{ended:?}");
    assert_eq!(sh("init", &["-k", "100s"], "kill -TERM $PPID; exec sleep 60").code, 143);
    assert_eq!(sh("init", &["-k", "10ms"], "sleep 0.2; exit 4").code, 4, "nobody told it to stop");
}

#[test]
fn a_line_says_which_signal_the_child_died_of() {
    let line = |options: &[&str]| sh("init", options, "kill -KILL $$").stderr;
    let said = line(&[]);
    assert!(
        said.starts_with("dutch-master: sh (pid ") && said.ends_with(") was killed by SIGKILL\n")
    );
    assert_eq!(line(&["-q"]), "");
}

#[test]
fn options_end_at_the_first_word_that_is_none() {
    assert_eq!(init(&["echo", "--help", "-q"]).stdout, "--help -q\n");
    assert_eq!(init(&["--", "echo", "--"]).stdout, "--\n");
}

#[test]
fn what_makes_no_sense_is_64_and_says_why() {
    let says = |arguments: &[&str], why: &str| {
        let ended = init(arguments);
        assert_eq!(ended.code, 64, "{arguments:?}");
        assert!(ended.stderr.contains(why) && ended.stderr.lines().count() == 1, "{ended:?}");
    };
    says(&[], "no command");
    says(&["--"], "no command");
    says(&["--nonsense", "true"], "unknown option --nonsense");
    says(&["-z", "true"], "unknown option -z");
    says(&["-r", "TERM", "true"], "no pair of signals");
    says(&["-r", "TREM:QUIT", "true"], "did you mean SIGTERM");
    says(&["-k", "soon", "true"], "-k: ");
    says(&["--wait-all=never", "true"], "--wait-all: ");
    says(&["-e", "300", "true"], "no exit code");
    says(&["-p"], "-p");
}

#[test]
fn help_is_for_standard_output() {
    let ended = init(&["--help"]);
    assert!(ended.code == 0 && ended.stdout.starts_with("Usage: dutch-master init"));
}

#[test]
fn a_script_without_interpreter_line_runs_under_the_peers_names_only() {
    let path = std::env::temp_dir().join(format!("dutch-master-script-{}", std::process::id()));
    let path = path.to_str().unwrap();
    let make = format!("printf 'echo $1\\nexit 4\\n' > {path}; chmod +x {path}; exec \"$@\"");
    let go = |name| super::harness::run_in(&make, &words(name, &[path, "hi"]));
    for name in ["tini", "dumb-init", "catatonit"] {
        assert_eq!((go(name).code, go(name).stdout.as_str()), (4, "hi\n"), "{name}");
    }
    let ended = go("init");
    assert!(ended.code == 126 && ended.stderr.contains("missing shebang"), "{ended:?}");
    std::fs::remove_file(path).unwrap();
}
