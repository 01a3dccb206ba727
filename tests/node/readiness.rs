//! Programs whose servers the cluster never sees.

use crate::{
    harness::together,
    nodes::{fleet, usual},
};

#[test]
fn a_program_with_servers_of_its_own_says_ready_in_the_words_of_its_library() {
    let _company = together();
    let container = fleet(usual(), "alone.js").set("WORKERS", "3").ready();
    assert_eq!(container.said("worker ready").len(), 3);
    assert_eq!(container.stop().0, 0);
}

#[test]
fn a_program_that_says_nothing_is_ready_when_the_setting_says_so() {
    let _company = together();
    let container = fleet(usual(), "alone.js silent").set("READY", "delay:300ms").ready();
    assert_eq!(container.stop().0, 0);
}

#[test]
fn a_program_that_never_listens_is_told_what_would_make_it_ready() {
    let _company = together();
    let container = fleet(usual(), "alone.js silent")
        .set("WORKERS", "1")
        .set("START_TIMEOUT", "6s")
        .set("START_ATTEMPTS", "1")
        .start();
    let hint = container.next("worker never listened").field("hint").unwrap();
    assert!(hint.contains("process.send('ready')"), "{hint}");
    assert_ne!(container.exit_code(), 0);
}
