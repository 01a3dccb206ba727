//! The images of docker/examples, rolled under load as they stand, and not one request lost.
//!
//! `scripts/test examples` sets up what this needs: an engine and the images that `prepare` builds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and may read its environment and the clock"
)]

#[path = "../docker/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the docker suite uses the rest of it")]
mod harness;

use std::fs;

use harness::{Container, docker_fails, image, label};

/// Rolls in a row, with load on them.
const ROLLS: u32 = 3;

/// What becomes of connections that idle when a worker is told to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Idle {
    /// They live until their clients have been told, or none is kept at all.
    Left,
    /// The server cuts them, and a request that is on its way just then has no answer.
    Cut,
}

/// Starts the example's image as `docker run` does, but for the network and the number of workers.
#[track_caller]
fn start(example: &str, options: &[&str]) -> Container {
    let image = format!("{}-{example}", image());
    let settings = ["-e", "DUTCH_MASTER_LOG_FORMAT=json", "-e", "DUTCH_MASTER_WORKERS=2"];
    Container::run(&[&settings, options, &[image.as_str()]].concat())
}

#[track_caller]
fn started(example: &str) -> Container {
    let container = start(example, &["--network", "none"]);
    container.next_where("the end of the boot", |entry| {
        entry.says("roll complete") || entry.says("boot complete")
    });
    container
}

/// Rolls a few times with load on `container`, waits until every old worker has gone, and judges.
#[track_caller]
fn roll(container: &Container, says: &str, idle: Idle) {
    let load = container.load(&format!("expect={says} one-shot=4 keep-alive=2 by=generation"));
    for generation in 2..2 + ROLLS {
        container.signal("SIGUSR2");
        container.next_where(&format!("the roll to {generation}"), |entry| {
            entry.says("roll complete") && entry.field("generation") == Some(generation.to_string())
        });
    }
    container.until("two workers are left", |log| {
        let count = |message: &str| log.iter().filter(|entry| entry.says(message)).count();
        count("worker starting") == count("worker exited") + 2
    });
    let report = load.finish();
    println!("{report}");
    assert!(container.said("killing worker").is_empty(), "{}", container.tail());
    assert!(report.number("/one_shot/requests") > 100.0, "too little load: {report}");
    assert!(report.number("/keep_alive/requests") > 50.0, "too little load: {report}");
    assert!(report.number("/one_shot/failed") == 0.0, "requests were lost: {report}");
    let cut = report.number("/keep_alive/classes/reused");
    let cut = if idle == Idle::Cut { cut } else { 0.0 };
    assert!(report.number("/keep_alive/failed") <= cut, "requests were lost: {report}");
    if says == "generation" {
        assert!(report.by("1") > 0 && report.by("4") > 0, "{report}");
    }
    assert_eq!(container.stop().0, 0, "{}", container.tail());
}

#[test]
fn node_loses_nothing() {
    roll(&started("node"), "generation", Idle::Left);
}

#[test]
fn python_under_gunicorn_loses_nothing() {
    roll(&started("python-gunicorn"), "generation", Idle::Left);
}

#[test]
fn python_under_uvicorn_loses_nothing() {
    roll(&started("python-uvicorn"), "generation", Idle::Cut);
}

#[test]
fn ruby_under_puma_loses_nothing() {
    roll(&started("ruby"), "generation", Idle::Cut);
}

#[test]
fn php_behind_nginx_loses_nothing() {
    let php = started("php");
    let network = format!("container:{}", php.id());
    let _front = start("php-front", &["--network", &network]);
    let (label, image) = (label(), image());
    let options = ["run", "--rm", "--label", &label, "--network", &network, &image];
    let ask = [&options[..], &["/probe", "get", "127.0.0.1:8000", "/"]].concat();
    harness::until("nginx answers", || docker_fails(&ask).status.success());
    roll(&php, "generation", Idle::Left);
}

#[test]
fn go_loses_nothing() {
    roll(&started("go"), "generation", Idle::Cut);
}

#[test]
fn java_loses_nothing() {
    roll(&started("java"), "generation", Idle::Left);
}

#[test]
fn rust_loses_nothing() {
    roll(&started("rust"), "generation", Idle::Left);
}

#[test]
fn static_files_by_nginx_lose_nothing() {
    roll(&started("static"), "hello", Idle::Cut);
}

#[test]
fn an_example_is_short_and_begins_with_an_official_image() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docker/examples");
    let examples: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(examples.len() >= 9, "{examples:?}");
    for example in examples {
        let text = fs::read_to_string(example.join("Dockerfile")).unwrap();
        assert!(text.lines().count() <= 10, "{}: longer than ten lines", example.display());
        assert!(
            text.contains("\nENTRYPOINT [\"dutch-master\"") || text.contains("[\"/dutch-master\"")
        );
        assert!(text.contains("\nUSER "), "{}: runs as root", example.display());
    }
}
