//! How it ends, and what signals to the master do.

use rustix::process::Signal;

use crate::harness::{Client, Setup, gone, kill};

const IDLE: &str = "exec sleep 600";
const DEAF: &str = "trap '' TERM; echo deaf; while :; do sleep 600; done";

#[test]
fn a_clean_stop_is_exit_code_0() {
    let mut master = Setup::new(IDLE).set("WORKERS", "2").ready();
    master.next("worker ready");
    assert_eq!(master.stop(), 0);
    assert_eq!(master.count("stopped"), 1);
}

#[test]
fn a_stop_that_had_to_kill_is_exit_code_1() {
    let mut master = Setup::new(DEAF).set("KILL_TIMEOUT", "1s").ready();
    master.printed("deaf");
    assert_eq!(master.stop(), 1);
    assert_eq!(master.count("killing worker"), 1, "{}", master.tail());
}

#[test]
fn a_second_sigint_kills_at_once_and_a_second_sigterm_does_not() {
    let mut master = Setup::new(DEAF).ready();
    let pid = master.printed("deaf");
    assert!(pid.is_stdout);
    master.signal(Signal::TERM);
    master.next("stopping");
    master.signal(Signal::TERM);
    master.signal(Signal::INT);
    master.signal(Signal::WINCH);
    master.next("signal forwarded");
    assert_eq!(master.count("killing worker"), 0);
    master.signal(Signal::INT);
    assert_eq!(master.exit_code(), 1);
    let killed = master.so_far().into_iter().find(|line| line.says("killing worker")).unwrap();
    assert_eq!(killed.field("why").as_deref(), Some("told to hurry"));
    gone(killed.number("pid"));
}

#[test]
fn the_stop_signal_is_the_one_that_was_set() {
    let script = "trap 'kill $!; echo quit; exit 0' QUIT; echo up; sleep 600 & wait $!";
    let mut master = Setup::new(script).set("STOP_SIGNAL", "QUIT").ready();
    master.rewind();
    master.printed("up");
    assert_eq!(master.stop(), 0);
    assert!(master.so_far().iter().any(|line| line.text == "quit"));
}

#[test]
fn a_lame_duck_serves_until_its_time_is_over() {
    let mut master = Setup::new("serve")
        .set("READY", "auto")
        .set("LISTEN", "tcp://127.0.0.1:0")
        .set("SHUTDOWN_DELAY", "6s")
        .ready();
    let address = master.address();
    master.signal(Signal::TERM);
    master.next("stopping");
    Client::say(address, "hello").answer();
    assert_eq!(master.count("draining worker"), 0, "{}", master.tail());
    assert_eq!(master.exit_code(), 0);
}

#[test]
fn one_more_and_one_fewer_at_the_same_time_is_as_many_as_before() {
    let master = Setup::of(&["sleep", "600"]).set("READY", "start").set("WORKERS", "60").start();
    // While it is busy with its first workers, so that it hears of both in one turn.
    master.next("worker starting");
    master.signal(Signal::TTIN);
    master.signal(Signal::TTOU);
    master.next("scaling");
    assert_eq!(master.next("scaling").number("workers"), 60, "{}", master.tail());
}

#[test]
fn a_range_bounds_what_signals_may_ask_for() {
    let master = Setup::new(IDLE).set("WORKERS", "1-2").ready();
    let most = master.count("worker starting");
    for _ in 0..3 {
        master.signal(Signal::TTIN);
        master.signal(Signal::WINCH);
        master.next("signal forwarded");
    }
    for _ in 0..3 {
        master.signal(Signal::TTOU);
        master.signal(Signal::WINCH);
        master.next("signal forwarded");
    }
    let sizes: Vec<i64> = master
        .so_far()
        .iter()
        .filter(|line| line.says("scaling"))
        .map(|line| line.number("workers"))
        .collect();
    assert!(sizes.iter().all(|size| (1..=2).contains(size)), "{sizes:?}");
    assert_eq!(sizes.last(), Some(&1), "{most} {}", master.tail());
}

#[test]
fn other_signals_go_to_every_worker() {
    let script = "trap 'echo usr1 $$' USR1; echo up; while :; do sleep 600 & wait $!; done";
    let master = Setup::new(script).set("WORKERS", "2").ready();
    master.next("worker ready");
    master.rewind();
    master.printed("up");
    master.printed("up");
    master.signal(Signal::USR1);
    let first = master.printed("usr1").text;
    assert_ne!(master.printed("usr1").text, first);
}

#[test]
fn the_signals_that_roll_are_the_ones_that_were_set() {
    let master = Setup::new(IDLE).set("RESTART_SIGNAL", "SIGUSR1").ready();
    master.signal(Signal::USR1);
    // The boot ends in "roll complete" too.
    master.next("roll requested");
    master.next("roll complete");
}

#[test]
fn a_worker_lives_as_long_as_any_process_of_its_group() {
    let script = "mkdir $DM_MARK 2>/dev/null || exec sleep 600
        (trap 'echo child told; exit 0' TERM; echo child; while :; do sleep 0.1; done) & wait";
    let folder = crate::harness::Folder::new();
    // The stop signal comes three seconds before that, to what is left.
    let setup = Setup::new(script).set("KILL_TIMEOUT", "12s").var("DM_MARK", &folder.text("mark"));
    let mut master = setup.start();
    let first = master.next("worker ready");
    master.printed("child");
    kill(first.number("pid"), Signal::KILL);
    master.next("worker exited");
    // It is replaced at once, and what is left of it still gets the stop signal.
    master.next("worker ready");
    assert!(!master.so_far().iter().any(|line| line.text == "child told"));
    master.printed("child told");
    master.signal(Signal::TERM);
    assert_eq!(master.exit_code(), 0, "{}", master.tail());
}

#[test]
fn a_stop_while_a_command_counts_ends_the_command_too() {
    let folder = crate::harness::Folder::new();
    let hook = folder.write("count", "echo counting $$ >&2; exec sleep 600\n");
    let mut master = Setup::new(IDLE).set("NUM_WORKERS_COMMAND", &format!("sh {hook}")).start();
    let line = master.next_where("the command", |line| line.text.starts_with("counting"));
    let pid: i64 = line.text.split_whitespace().last().unwrap().parse().unwrap();
    assert_eq!(master.stop(), 0);
    gone(pid);
}
