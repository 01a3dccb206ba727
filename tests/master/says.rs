//! What a worker tells the master, and what comes of it.

use rustix::process::Signal;

use crate::harness::{Setup, kill};

const IDLE: &str = "exec sleep 600";

#[test]
fn a_worker_is_ready_when_it_says_so() {
    let script = format!("echo up; read go <$DM_GO; say READY=1; {IDLE}");
    let (setup, folder) = with_go(Setup::notifying(&script));
    let mut master = setup.start();
    master.printed("up");
    master.catch_up();
    assert_eq!(master.count("worker ready"), 0);
    go(&folder);
    master.next("worker ready");
    assert_eq!(master.stop(), 0);
}

#[test]
fn any_byte_on_notify_fd_means_ready() {
    Setup::notifying(&format!("eval \"echo >&$NOTIFY_FD\"; {IDLE}")).ready();
}

#[test]
fn a_notify_fd_that_closes_without_a_byte_means_nothing() {
    let script = "eval \"exec $NOTIFY_FD>&-\"; say STATUS=closed; echo closed; exec sleep 600";
    let master = Setup::notifying(script).set("START_TIMEOUT", "5s").start();
    master.printed("closed");
    master.next_where("the start that failed", |line| {
        line.field("why").as_deref() == Some("not ready in time")
    });
    assert_eq!(master.count("worker ready"), 0, "{}", master.tail());
}

#[test]
fn a_restart_that_is_asked_for_three_times_is_one_replacement_and_one_line() {
    let asks = "say READY=1; say X_RESTART=1; say X_RESTART=1; say X_RESTART=1; echo asked";
    let (setup, go_folder) =
        with_go(Setup::notifying(&first(asks, "read go <$DM_GO; say READY=1")));
    let (setup, _folder) = with_mark(setup);
    let master = setup.ready();
    // Once its successor is ready, it is told to stop: it may not have asked three times by then.
    master.printed("asked");
    go(&go_folder);
    master.rewind();
    master.next("worker exited");
    assert_eq!(master.count("worker starting"), 2, "{}", master.tail());
    assert_eq!(master.count("worker ready"), 2, "{}", master.tail());
    assert_eq!(master.count("worker to be replaced"), 1, "{}", master.tail());
}

#[test]
fn a_worker_whose_process_that_matters_has_died_is_replaced_whoever_reaped_that() {
    let forks = "(read go <$DM_GO) & say MAINPID=$!; say READY=1; wait; exit 3";
    let (setup, go_folder) = with_go(Setup::notifying(&first(forks, "say READY=1")));
    let (setup, _folder) = with_mark(setup);
    let mut master = setup.ready();
    go(&go_folder);
    assert_eq!(master.next("worker exited").number("code"), 3);
    master.next("worker ready");
    assert_eq!(master.stop(), 0);
}

/// A script whose first worker does one thing and whose later ones do another.
fn first(does: &str, later: &str) -> String {
    format!("if mkdir $DM_MARK 2>/dev/null; then {does}; else {later}; fi; {IDLE}")
}

fn with_mark(setup: Setup) -> (Setup, crate::harness::Folder) {
    let folder = crate::harness::Folder::new();
    let setup = setup.var("DM_MARK", &folder.text("mark"));
    (setup, folder)
}

/// The script has the test's leave to go on at `read go <$DM_GO`.
fn with_go(setup: Setup) -> (Setup, crate::harness::Folder) {
    let folder = crate::harness::Folder::new();
    let setup = setup.var("DM_GO", &folder.fifo("go"));
    (setup, folder)
}

fn go(folder: &crate::harness::Folder) {
    std::fs::write(folder.at("go"), "go\n").unwrap();
}

#[test]
fn a_worker_that_says_stopping_is_replaced_while_it_still_lives() {
    let script = first("say READY=1; say STOPPING=1; say STOPPING=1; echo said", "say READY=1");
    let (setup, _folder) = with_mark(Setup::notifying(&script));
    let mut master = setup.ready();
    master.printed("said");
    master.rewind();
    let first = master.next("worker ready");
    let second = master.next("worker ready");
    assert_ne!(first.field("worker"), second.field("worker"));
    assert_eq!(master.count("worker exited"), 0);
    assert_eq!(master.count("worker disconnected"), 1, "{}", master.tail());
    kill(first.number("pid"), Signal::TERM);
    master.next("worker exited");
    assert_eq!(master.stop(), 0);
}

#[test]
fn a_worker_that_falls_silent_is_replaced() {
    let script = first("say READY=1; say WATCHDOG=1", "say \"READY=1\nWATCHDOG_USEC=0\"");
    let (setup, _folder) =
        with_mark(Setup::notifying(&format!("echo usec=$WATCHDOG_USEC; {script}")));
    let master = setup.set("WATCHDOG", "500ms").ready();
    let again = master.next("worker starting");
    assert_eq!(again.field("why").as_deref(), Some("predecessor silent"));
    master.next("worker ready");
    master.next("worker exited");
    assert_eq!(master.printed("usec=").text, "usec=500000");
}

#[test]
fn a_worker_that_finds_itself_broken_is_replaced() {
    let script = first("say READY=1; say WATCHDOG=trigger", "say READY=1");
    let (setup, _folder) = with_mark(Setup::notifying(&script));
    let master = setup.start();
    master.next("worker to be replaced");
    let again = master.next("worker starting");
    assert_eq!(again.field("why").as_deref(), Some("predecessor silent"));
    master.next("worker ready");
    master.next("worker exited");
}

#[test]
fn a_worker_that_asks_for_more_time_gets_it() {
    let script = format!("say EXTEND_TIMEOUT_USEC=50000000; sleep 5.5; say READY=1; {IDLE}");
    let master = Setup::notifying(&script).set("START_TIMEOUT", "5s").ready();
    assert_eq!(master.count("worker starting"), 1);
}

#[test]
fn nonsense_is_counted_and_changes_nothing() {
    let script = format!("tool nonsense; echo sent; read go <$DM_GO; say READY=1; {IDLE}");
    let (setup, folder) = with_go(Setup::notifying(&script));
    let mut master = setup.start();
    master.printed("sent");
    master.catch_up();
    assert_eq!(master.count("worker ready"), 0, "{}", master.tail());
    assert_eq!(master.count("worker sends nonsense to its notify socket"), 1);
    go(&folder);
    master.next("worker ready");
    assert_eq!(master.stop(), 0);
}

#[test]
fn a_process_outside_of_the_workers_group_cannot_speak_for_it() {
    let script = format!(
        "tool outsider READY=1; tool outsider X_RESTART=1; echo spoke; read go <$DM_GO; say READY=1; {IDLE}"
    );
    let (setup, folder) = with_go(Setup::notifying(&script));
    let master = setup.start();
    master.printed("spoke");
    master.catch_up();
    assert_eq!(master.count("worker ready"), 0, "{}", master.tail());
    go(&folder);
    master.next("worker ready");
    assert_eq!(master.count("worker to be replaced"), 0);
}

#[test]
fn what_a_worker_said_of_itself_stands_beside_its_end() {
    let script = format!("say READY=1; say 'STATUS=no more oil'; say ERRNO=28; {}", "exit 9");
    let (setup, _folder) = with_mark(Setup::notifying(&first(&script, "say READY=1")));
    let master = setup.start();
    master.next("worker says it fails");
    let exited = master.next("worker exited");
    assert_eq!(exited.field("reason").as_deref(), Some("no more oil"));
    assert_eq!(exited.number("code"), 9);
}

#[test]
fn einhorns_acknowledgement_means_ready() {
    let script = format!("echo $EINHORN_FD_COUNT; tool einhorn; {IDLE}");
    Setup::new(&script).set("READY", "auto").set("LISTEN", "tcp://127.0.0.1:0").ready();
}

#[test]
fn a_worker_that_says_ready_after_it_was_told_to_stop_is_not_ready() {
    let script =
        "trap 'say READY=1; echo too late' TERM; echo up; while :; do sleep 600 & wait $!; done";
    let master =
        Setup::notifying(script).set("START_TIMEOUT", "4s").set("KILL_TIMEOUT", "5s").start();
    master.printed("too late");
    master.next("killing worker");
    assert_eq!(master.count("worker ready"), 0, "{}", master.tail());
}
