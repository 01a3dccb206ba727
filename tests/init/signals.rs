//! No signal is lost, and each arrives.

use super::harness::{NAMES, run, run_in, sh, sh_as_pid_1, words};
use std::process::{Command, Stdio};

/// A child that has `signal` sent to its init and waits for what comes of it.
fn provoke(signal: i32) -> String {
    // Perl ignores SIGFPE; and whoever runs the tests may ignore what libc hides.
    let number = libc::SYS_rt_sigaction;
    let default = format!("$none = pack(q{{x32}}); syscall({number}, {signal}, $none, 0, 8)");
    format!("exec perl -e '{default}; kill {signal}, getppid; sleep 60'")
}

/// Signals whose default action ends a process: all but those that are ignored or stop it.
fn fatal() -> impl Iterator<Item = i32> {
    (1..=64).filter(|signal| ![9, 17, 18, 19, 20, 21, 22, 23, 28].contains(signal))
}

#[test]
fn every_signal_reaches_the_child_even_those_that_libc_hides() {
    for name in NAMES {
        for signal in fatal() {
            let ended = sh(name, &[], &provoke(signal));
            assert_eq!(ended.code, 128 + signal, "{name} {signal} {ended:?}");
        }
    }
}

/// Needs root.
#[test]
fn every_signal_reaches_the_child_of_pid_1() {
    for signal in fatal() {
        let ended = sh_as_pid_1("init", &[], &provoke(signal));
        assert_eq!(ended.code, 128 + signal, "{signal} {ended:?}");
    }
}

#[test]
fn signals_that_end_nobody_reach_the_child_too() {
    let catch = |signal: &str| {
        format!(
            "$SIG{{{signal}}} = sub {{ exit 77 }}; kill '{signal}', getppid; sleep 1 for 1 .. 60"
        )
    };
    for signal in ["CHLD", "CONT", "TSTP", "TTIN", "TTOU", "URG", "WINCH"] {
        for name in ["init", "tini", "catatonit"] {
            let ended = run(&words(name, &["--", "perl", "-e", &catch(signal)]));
            assert_eq!(ended.code, 77, "{name} {signal} {ended:?}");
        }
    }
}

#[test]
fn a_signal_in_the_instant_of_the_start_is_never_lost() {
    for round in 0..100_u32 {
        let words = words("dumb-init", &["sleep", "30"]);
        let mut child =
            Command::new(&words[0]).args(&words[1..]).stdin(Stdio::null()).spawn().unwrap();
        // Every moment between the exec of the init and that of its child.
        for _ in 0..round * 20 {
            std::hint::black_box(rustix::process::getppid());
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = child.wait().unwrap();
        let by_itself = std::os::unix::process::ExitStatusExt::signal(&status) == Some(15);
        assert!(by_itself || status.code() == Some(143), "{round}: {status}");
    }
}

#[test]
fn the_group_gets_signals_only_if_asked_for() {
    // Where the signal is to come, the inner one waits for it as long as it takes.
    let family = |waits: &str| {
        let script = "exec perl -e '
        pipe R, W; $SIG{USR1} = q{IGNORE};
        if (!($kid = fork)) {
            $SIG{USR1} = sub { syswrite STDOUT, q{inner}; exit };
            syswrite W, q{x}; select undef, undef, undef, WAITS; exit
        }
        sysread R, $x, 1; kill q{USR1}, getppid; waitpid $kid, 0'";
        script.replace("WAITS", waits)
    };
    let (told, untold) = (family("60"), family("0.5"));
    assert_eq!(sh("init", &["--group"], &told).stdout, "inner");
    assert_eq!(sh("tini", &["-g"], &told).stdout, "inner");
    assert_eq!(sh("catatonit", &["-g"], &told).stdout, "inner");
    assert_eq!(sh("dumb-init", &[], &told).stdout, "inner");
    assert_eq!(sh("init", &[], &untold).stdout, "");
    assert_eq!(sh("dumb-init", &["-c"], &untold).stdout, "");
}

#[test]
fn what_was_ignored_stays_ignored_and_nothing_is_blocked() {
    for name in NAMES {
        let status = words(name, &["cat", "/proc/self/status"]);
        let ignore = "trap '' HUP USR1 PIPE; ";
        let direct = run_in(&format!("{ignore} exec cat /proc/self/status"), &[]);
        let below = run_in(&format!("{ignore} exec \"$@\""), &status);
        let sets = |text: &str| {
            let lines =
                text.lines().filter(|line| line.starts_with("Sig") && !line.contains("SigQ"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(sets(&below.stdout), sets(&direct.stdout), "{name}");
        assert!(direct.stdout.contains("SigBlk"));
    }
}

#[test]
fn children_ignored_by_whoever_started_us_do_not_make_us_wait_for_ever() {
    for name in NAMES {
        let ignore = r#"exec perl -e '$SIG{CHLD} = "IGNORE"; exec @ARGV' "$@""#;
        let ended = run_in(ignore, &words(name, &["--", "sh", "-c", "exit 5"]));
        assert_eq!(ended.code, 5, "{name} {ended:?}");
    }
}
