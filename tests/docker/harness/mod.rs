//! Containers, their logs, load on them, and directories of releases, for tests to read like
//! a session at a terminal.

pub(crate) mod container;
mod docker;
pub(crate) mod load;
mod log;
mod releases;

pub(crate) use self::{
    container::{Container, Setup},
    docker::{docker, docker_fails, image, label, text_of},
    load::Load,
    log::Entry,
    releases::Releases,
};

use std::{
    path::PathBuf,
    sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
    time::{Duration, Instant},
};

static MACHINE: RwLock<()> = RwLock::new(());

/// Held by a test that measures time: the others wait until it is over.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// Held by a test that does not mind company.
pub(crate) fn together() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// The longest time without an answer that a roll may cause.
const GAP: f64 = 50.0;
/// So often a machine may be busy with something else just then: what a roll causes comes back at
/// every try.
pub(crate) const TRIES: usize = 6;
const GAP_LOAD: &str = "one-shot=6 keep-alive=4";

/// Nothing is lost, and no client waits while `roll` is done to a new container.
#[track_caller]
pub(crate) fn no_gap(what: &str, start: impl Fn() -> Container, roll: impl Fn(&Container)) {
    let mut gaps = vec![];
    while gaps.len() < TRIES {
        let container = start();
        let (load, began) = (container.load(GAP_LOAD), Instant::now());
        roll(&container);
        let (report, took) = (load.finish(), began.elapsed());
        report.nothing_was_lost();
        if is_no_gap(&report, &container, GAP_LOAD, took) {
            return;
        }
        gaps.push(report.gap());
    }
    panic!("{what}: each time more than {GAP} ms without an answer: {gaps:?}");
}

/// Whether no client waited, but as on this machine they also do when nobody rolls for so long.
#[track_caller]
pub(crate) fn is_no_gap(
    report: &load::Report,
    container: &Container,
    load: &str,
    took: Duration,
) -> bool {
    if report.gap() <= GAP {
        return true;
    }
    let load = container.load(load);
    thread::sleep(took);
    let calm = load.finish().gap();
    println!("{:.0} ms without an answer, and {calm:.0} ms at rest", report.gap());
    report.gap() <= 2.0 * calm
}

/// Asks until the answer is yes: for what the product has no event for, such as a zombie's end.
#[track_caller]
pub(crate) fn until(what: &str, question: impl FnMut() -> bool) {
    assert!(comes_true(question), "waited in vain: {what}");
}

/// The same, for whoever has more to say when it does not.
pub(crate) fn comes_true(mut question: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if question() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Options of a container that may not set seccomp filters, so that nothing is captured there.
pub(crate) fn without_filters() -> String {
    static PROFILE: LazyLock<PathBuf> = LazyLock::new(|| {
        let denied = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["seccomp"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}"#;
        let profile = std::env::temp_dir().join(format!("dm-profile-{}.json", std::process::id()));
        std::fs::write(&profile, denied).unwrap();
        profile
    });
    format!("--security-opt seccomp={}", PROFILE.display())
}
