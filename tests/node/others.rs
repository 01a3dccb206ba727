//! Bun and Deno: what works is used, what cannot is routed elsewhere, with a sentence that says so.

use crate::{
    harness::{Container, Setup, alone, together, without_filters},
    nodes::{rolls, runtime},
};

/// Deno wants a place for what it compiles.
fn deno(program: &str) -> Setup {
    runtime(&format!("/node/deno run --allow-all --no-lock --quiet /sites/{program}"))
        .options("--env DENO_DIR=/tmp/deno --env HOME=/tmp --env DENO_NO_UPDATE_CHECK=1")
}

/// What was said about the cluster that there is not: the problem and the remedy.
fn sentence(container: &Container) -> String {
    let said = container.said("no Node cluster");
    let [entry] = &said[..] else { panic!("said once:\n{}", container.tail()) };
    let field = |name| entry.field(name).unwrap_or_default();
    format!("{}: {}", field("problem"), field("remedy"))
}

#[test]
fn the_http_servers_of_node_in_deno_are_rolled_without_loss() {
    // Each start of Deno takes all of a CPU for a while.
    let _machine = alone();
    let container = deno("app.mjs").set("CONTRACT", "node").ready();
    assert_eq!(container.answers("slot", 20).len(), 2, "both workers answer");
    let load = container.load("one-shot=4 keep-alive=0 by=generation");
    for _ in 0..rolls() {
        container.roll();
    }
    let report = load.finish();
    eprintln!("Deno: {} answers in {} rolls", report.number("/ok"), rolls());
    report.nothing_was_lost();
    assert_eq!(container.stop().0, 0);
}

/// Several workers that bind by themselves share the port and are rolled, for their servers are captured.
fn is_captured(setup: &Setup, runtime: &str) {
    let container = setup.ready();
    assert_eq!(container.said("servers are captured").len(), 1, "{}", container.tail());
    assert_eq!(container.answers("runtime", 1), [runtime.to_owned()].into());
    assert_eq!(container.answers("slot", 40).len(), 2, "both workers answer");
    let load = container.load("one-shot=4 keep-alive=0 by=generation");
    for _ in 0..rolls() {
        container.roll();
    }
    load.finish().nothing_was_lost();
    assert_eq!(container.stop().0, 0);
}

#[test]
fn deno_serve_is_captured() {
    let _company = together();
    is_captured(&deno("deno.js"), "deno");
}

#[test]
fn bun_is_captured() {
    let _company = together();
    is_captured(&runtime("/node/bun /sites/bun.js"), "bun");
}

#[test]
fn deno_serve_is_no_matter_of_the_cluster_and_the_log_says_so() {
    let _company = together();
    let container = deno("deno.js").options(&without_filters()).set("WORKERS", "1").ready();
    let sentence = sentence(&container);
    assert!(sentence.contains("Deno.serve") && sentence.contains("CONTRACT=node"), "{sentence}");
    assert_eq!(container.answers("runtime", 1), ["deno".to_owned()].into());
    assert_eq!(container.stop().0, 0);
}

#[test]
fn bun_serves_by_itself_and_the_log_says_so() {
    let _company = together();
    let container = runtime("/node/bun /sites/bun.js").options(&without_filters()).ready();
    let sentence = sentence(&container);
    assert!(sentence.contains("Bun's HTTP servers bind by themselves"), "{sentence}");
    assert_eq!(container.answers("slot", 40).len(), 2, "reusePort lets both serve");
    assert_eq!(container.stop().0, 0);
}

#[test]
fn bun_as_a_cluster_worker_is_recognised() {
    let _company = together();
    let setup = runtime("/node/bun /sites/app.mjs").set("CONTRACT", "node").set("WORKERS", "1");
    // Ready by what it says of its server, which it has bound by itself.
    let container = setup.ready();
    let remarks = container.said("worker remarked");
    let [remark] = &remarks[..] else { panic!("said once:\n{}", container.tail()) };
    let remark = remark.field("remark").unwrap();
    assert!(remark.contains("it is Bun"), "{remark}");
    assert_eq!(container.answers("slot", 3).len(), 1);
    assert_eq!(container.stop().0, 0);
}
