//! What workers print, and how the master speaks.

use std::io::Read;

use rustix::process::Signal;

use crate::harness::Setup;

const IDLE: &str = "exec sleep 600";

#[test]
fn whole_lines_are_kept_whole_and_a_longer_one_is_cut() {
    let script =
        "head -c 200000 /dev/zero | tr '\\0' x; echo; echo after; printf unended; echo all >&2";
    let script = format!("echo before; {script}; {IDLE}");
    let mut master = Setup::new(&script).set("OUTPUT", "lines").start();
    master.printed("before");
    let long = master.printed("xxx");
    assert_eq!(long.text.len(), 64 * 1024);
    master.printed("after");
    master.next_where("the end of the script", |line| line.text == "all");
    assert_eq!(master.stop(), 0);
    assert_eq!(master.so_far().iter().filter(|line| line.text == "unended").count(), 1);
}

#[test]
fn a_prefix_says_whose_line_it_is() {
    let master = Setup::new(&format!("echo hello; echo trouble >&2; {IDLE}"))
        .set("OUTPUT", "prefix")
        .ready();
    let pid = {
        master.rewind();
        master.next("worker ready").number("pid")
    };
    master.rewind();
    let line = master.printed("[0:");
    assert_eq!((line.text, line.is_stdout), (format!("[0:{pid}] hello"), true));
    let line = master.next_where("trouble", |line| line.text.ends_with("trouble"));
    assert_eq!((line.text, line.is_stdout), (format!("[0:{pid}] trouble"), false));
}

#[test]
fn json_says_whose_line_it_is_and_quotes_it() {
    let script = format!("printf 'a \"b\"\\t\\377\\n'; {IDLE}");
    let master = Setup::new(&script).set("OUTPUT", "json").ready();
    master.rewind();
    let line = master.printed("{");
    assert_eq!(line.field("line").as_deref(), Some("a \"b\"\t\u{fffd}"));
    assert_eq!(line.field("stream").as_deref(), Some("stdout"));
    assert_eq!((line.number("slot"), line.number("generation") > 0), (0, true));
    assert!(line.number("pid") > 0);
}

#[test]
fn a_line_that_json_makes_six_times_as_long_still_comes() {
    let script = format!("head -c 65000 /dev/zero | tr '\\0' '\\1'; echo; echo after; {IDLE}");
    let master = Setup::new(&script).set("OUTPUT", "json").start();
    let line = master.printed("{");
    assert_eq!(line.field("line").unwrap().len(), 65000);
}

#[test]
fn all_that_a_worker_printed_before_it_died_comes() {
    let script = "tool() { DM_TOOL=lines DM_TEXT=600 $DM_SELF; }; tool; printf last; exit 3";
    // It never becomes ready: so its end ends us, however long it took to print.
    let setup = Setup::notifying(script).set("OUTPUT", "lines");
    let mut master = setup.set("START_ATTEMPTS", "1").start();
    master.exit_code();
    let lines = master.so_far().iter().filter(|line| line.text.len() == 99).count();
    assert_eq!(lines, 600);
    assert_eq!(master.so_far().iter().filter(|line| line.text.ends_with("last")).count(), 1);
}

#[test]
fn a_reader_that_stalls_holds_nobody_up_and_drops_are_counted() {
    let script = format!("DM_TOOL=lines DM_TEXT=20000 $DM_SELF; echo done >&2; {IDLE}");
    let mut master = Setup::new(&script).set("OUTPUT", "lines").with_stalled_reader().ready();
    // The log, on another descriptor, goes on, and so does everything else.
    let all_is_printed = || master.next_where("done", |line| line.text == "done");
    all_is_printed();
    master.roll();
    all_is_printed();
    let mut stdout = master.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        text
    });
    let dropped = master.next("lines dropped: the reader was too slow");
    assert_eq!(dropped.field("stream").as_deref(), Some("stdout"));
    assert!(dropped.number("lines") > 0);
    assert_eq!(master.stop(), 0);
    let text = reader.join().unwrap();
    let whole = |line: &str| line.len() == 99 || !line.starts_with("000");
    assert!(text.lines().all(whole), "only whole lines are dropped");
}

#[test]
fn bunyans_tools_find_the_words_they_know() {
    let mut master = Setup::new(IDLE).set("LOG_FORMAT", "bunyan").start();
    let line = master.next_where("a worker that is ready", |line| {
        line.field("msg").as_deref() == Some("Worker listening")
    });
    assert_eq!((line.number("v"), line.number("level")), (0, 30));
    assert_eq!(line.number("pid"), i64::from(master.pid()));
    assert!(line.number("workerPid") > 0);
    master.signal(Signal::TERM);
    assert_eq!(master.exit_code(), 0);
    let said =
        |what: &str| master.so_far().iter().any(|line| line.field("msg").as_deref() == Some(what));
    assert!(said("Shutdown requested") && said("Cluster shutdown cleanly"), "{}", master.tail());
}

#[test]
fn the_log_says_less_when_it_is_told_to() {
    let mut master = Setup::new(&format!("echo up; {IDLE}")).set("LOG", "warn,roll=info").start();
    master.printed("up");
    master.signal(Signal::HUP);
    master.next("roll requested");
    assert_eq!(master.stop(), 0);
    assert_eq!(master.count("worker starting"), 0, "{}", master.tail());
}
