//! Everything that a Node program can ask of its cluster, in both modes.

use crate::{
    harness::together,
    nodes::{fleet, fleets},
};

fn is_asked(why: &str) -> bool {
    why == "predecessor asked"
}

#[test]
fn a_program_finds_every_kind_of_server_as_under_its_own_primary() {
    let _company = together();
    for (version, mode) in fleets() {
        let container = fleet(version, "everything.js")
            .set("BALANCE", mode)
            .set("LISTEN", "lent=127.0.0.1:8020")
            .ready();
        let node = format!("/node/node{version}");
        // Fails with the name of what is wrong and the log of docker exec.
        let told = container.exec(&[&node, "/sites/check.js", mode]);
        assert!(told.contains("requestRestart:"), "Node {version}, {mode}: {told}");
        let starts = container.said("worker starting");
        let asked = starts.iter().filter(|entry| is_asked(&entry.field("why").unwrap_or_default()));
        assert_eq!(
            asked.count(),
            1,
            "Node {version}, {mode}: asked five times, replaced once:\n{}",
            container.tail()
        );
        assert_eq!(container.stop().0, 0, "Node {version}, {mode}:\n{}", container.tail());
        eprintln!("Node {version}, {mode}:\n{told}");
    }
}
