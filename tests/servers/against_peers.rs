//! The scenario that other systems were measured with: a second version that boots for two seconds,
//! then one that fails while booting, under six clients with a connection per request and four that
//! keep theirs.

use std::time::Instant;

use crate::{
    harness::{Container, Releases, Setup, TRIES, is_no_gap},
    server::{Idle, Server, judge, old_workers_are_gone},
};

const LOAD: &str = "by=generation one-shot=6 keep-alive=4";

const RUST: &str = "/worker mode-file=/releases/current/mode";
const APP: &str = "import app\napp.PAUSE = 0\nasgi = app.asgi\n";
const PYTHON: Server = Server {
    command: "/usr/bin/python3 -m uvicorn --no-access-log --fd {fd:http} release:asgi",
    stop_signal: "TERM",
    ready: "notify",
    idle: Idle::Cut,
};

/// What both kinds of worker make of a release: the Rust one reads `mode`, uvicorn `release.py`.
fn deploy(releases: &Releases, name: &str, mode: &str, python: &str) {
    releases.write(&format!("{name}/release.py"), &format!("{python}\n{APP}"));
    releases.deploy(name, mode);
}

fn fleet(setup: Setup, releases: &Releases) -> Container {
    deploy(releases, "v1", "", "");
    setup
        .options(&format!("--volume {}:/releases", releases.path().display()))
        .set("CHDIR", "/releases/current")
        .set("BACKOFF", "50ms-1s")
        .ready()
}

fn rust(releases: &Releases) -> Container {
    let setup = Server { command: RUST, ..PYTHON }.setup("slot");
    fleet(setup, releases)
}

fn python(releases: &Releases) -> Container {
    fleet(PYTHON.setup("slot"), releases)
}

#[track_caller]
fn a_slow_boot_leaves_no_gap(releases: &Releases, container: &Container, idle: Idle) {
    deploy(releases, "v2", "boot=2000", "import time; time.sleep(2)");
    let mut gaps = vec![];
    for generation in (2..).take(TRIES) {
        let (load, began) = (container.load(LOAD), Instant::now());
        container.signal("SIGUSR2");
        container.next_where(&format!("the roll to {generation}"), |entry| {
            entry.says("roll complete") && entry.field("generation") == Some(generation.to_string())
        });
        old_workers_are_gone(container);
        let (report, took) = (load.finish(), began.elapsed());
        judge(&report, idle);
        assert!(report.by(&(generation - 1).to_string()) > 0, "{report}");
        assert!(report.by(&generation.to_string()) > 0, "{report}");
        if is_no_gap(&report, container, LOAD, took) {
            return;
        }
        gaps.push(report.gap());
    }
    panic!("each time so many ms without an answer: {gaps:?}");
}

#[track_caller]
fn a_broken_release_changes_nothing(releases: &Releases, container: &Container, code: &str) {
    let load = container.load(LOAD);
    deploy(releases, "v2", "boot=2000 boot-exit=3", "import time; time.sleep(2); raise OSError(1)");
    container.signal("SIGUSR2");
    let failed = container.next("roll failed");
    assert_eq!(failed.field("generation").as_deref(), Some("2"));
    old_workers_are_gone(container);
    let report = load.finish();
    judge(&report, Idle::Left);
    assert_eq!(report.by("2"), 0, "{report}");
    let of_v2 = |message: &str| {
        let mut entries = container.said(message);
        entries.retain(|entry| entry.field("generation").as_deref() == Some("2"));
        entries
    };
    let forks = of_v2("worker starting").len();
    assert!((1..=3).contains(&forks), "{forks} forks\n{}", container.tail());
    let exits = of_v2("worker exited");
    let has_code = exits.iter().any(|entry| entry.field("code").as_deref() == Some(code));
    assert!(has_code, "no exit code {code}\n{}", container.tail());
}

#[test]
fn a_slow_boot_of_a_rust_server_leaves_no_gap() {
    let releases = Releases::new();
    a_slow_boot_leaves_no_gap(&releases, &rust(&releases), Idle::Left);
}

#[test]
fn a_slow_boot_of_uvicorn_leaves_no_gap() {
    let releases = Releases::new();
    a_slow_boot_leaves_no_gap(&releases, &python(&releases), Idle::Cut);
}

#[test]
fn a_broken_release_of_a_rust_server_changes_nothing() {
    let releases = Releases::new();
    a_broken_release_changes_nothing(&releases, &rust(&releases), "3");
}

#[test]
fn a_broken_release_of_uvicorn_changes_nothing() {
    let releases = Releases::new();
    a_broken_release_changes_nothing(&releases, &python(&releases), "1");
}
