//! Tests of what is found about workers, from made-up processes.

use dutch_master::wire::{control::Gravity, listen};

use super::*;
use Attention::{Absent, Elsewhere, Unknown, Waits};

const HTTP: i32 = 3;

fn pid(number: i32) -> Pid {
    Pid::new(number).unwrap()
}

/// A process with one listener.
fn process(number: i32, parent: i32, name: &str, named: i32, attention: Attention) -> Holder {
    Holder {
        pid: pid(number),
        parent: Pid::new(parent),
        name: name.to_owned(),
        listen_pid: Pid::new(named),
        attention: vec![attention],
    }
}

fn found(holders: &[Holder]) -> Option<Finding> {
    let (name, address) = ("http".to_owned(), "0.0.0.0:80".to_owned());
    let listener = Passed { name, fd: HTTP, kind: listen::Kind::Tcp, address };
    cause(holders, 0).map(|(cause, is_sure)| unopened(2, &listener, &cause, is_sure))
}

#[track_caller]
fn is_found(holders: &[Holder], gravity: Gravity, part: &str, remedy: &str) {
    let found = found(holders).unwrap();
    assert!(found.finding.contains("listener http (fd 3): "), "{found:?}");
    assert!(found.finding.contains(part) && found.remedy.contains(remedy), "{found:?}");
    assert_eq!(found.gravity, gravity, "{found:?}");
}

#[test]
fn a_wrapper_that_eats_listen_pid_is_found() {
    let of = |server| [process(17, 1, "sh", 17, Elsewhere), process(18, 17, "app", 17, server)];
    let part = "LISTEN_PID names process 17 (sh), the server is process 18 (app)";
    is_found(&of(Elsewhere), Gravity::Wrong, part, "dutch-master exec -- COMMAND");
    is_found(&of(Unknown), Gravity::Doubtful, part, "dutch-master exec -- COMMAND");
    // Who is told its descriptor in the command needs no LISTEN_PID.
    assert_eq!(found(&of(Waits)), None);
    let gone = [process(18, 1, "app", 17, Elsewhere)];
    is_found(&gone, Gravity::Wrong, "LISTEN_PID names process 17, the server", "exec");
}

#[test]
fn a_program_that_was_given_its_own_number_is_not_behind_a_wrapper() {
    assert_eq!(found(&[process(17, 1, "app", 17, Waits)]), None);
    assert_eq!(found(&[process(17, 1, "app", 17, Unknown)]), None);
}

#[test]
fn children_that_a_server_forks_are_not_behind_a_wrapper() {
    let of = |attention| {
        [17, 18, 19].map(|number| {
            let parent = if number == 17 { 1 } else { 17 };
            process(number, parent, "app", 17, attention)
        })
    };
    assert_eq!((found(&of(Waits)), found(&of(Unknown))), (None, None));
    is_found(&of(Elsewhere), Gravity::Doubtful, "waits for other things", "LISTEN_FDS");
}

#[test]
fn a_listener_that_npm_keeps_is_found() {
    let of = |npm| [process(17, 1, "npm", 17, npm), process(18, 17, "node", 17, Absent)];
    let part = "process 17 (npm) keeps it from process 18 (node)";
    is_found(&of(Elsewhere), Gravity::Wrong, part, "start the program itself");
    assert_eq!((found(&of(Waits)), found(&of(Unknown))), (None, None), "with a helper");
}

#[test]
fn a_listener_that_no_process_has_is_found() {
    let closed = [process(17, 1, "app", 17, Absent)];
    is_found(&closed, Gravity::Wrong, "never opened", "CONTRACT=capture");
    assert_eq!(found(&[]), None, "processes that hide from us");
}

#[test]
fn a_program_that_knows_nothing_of_its_listener_is_found() {
    let idle = [process(17, 1, "app", 17, Elsewhere)];
    is_found(&idle, Gravity::Doubtful, "takes no connection", "{fd:NAME}");
}

#[test]
fn a_worker_that_is_not_ready_is_told_of_by_what_would_make_it_so() {
    let of = |readiness: Readiness, kind, names: &[&str]| unready(2, &readiness, kind, names);
    let found = of(Readiness::Notify, Kind::Systemd, &["http", "admin"]);
    assert!(found.finding.contains("has not said READY=1 nor opened listener http, admin: "));
    assert!(found.remedy.contains("LISTEN_PID") && found.gravity == Gravity::Wrong);
    let found = of(Readiness::Notify, Kind::Plain, &[]);
    assert!(found.finding.contains("has not said READY=1: behind"), "{found:?}");
    let found = of(Readiness::Listening, Kind::Node, &[]);
    assert!(found.finding.contains("listen()") && found.remedy.contains("node app.js"));
    let found = of(Readiness::Exec, Kind::Plain, &[]);
    assert!(found.finding.contains("not ready yet") && found.gravity == Gravity::Doubtful);
}
