//! Everything that a Node program can ask of its cluster, in both modes.

use serde_json::Value;

use crate::{
    harness::{Container, Entry, together},
    nodes::{fleet, fleets},
};

fn is_asked(entry: &Entry) -> bool {
    entry.says("worker starting") && entry.field("why").as_deref() == Some("predecessor asked")
}

/// Every server of the program's is shown, with its queue as far as it has one.
fn shown_in_status(container: &Container, version: u32, mode: &str) {
    let status = container.exec(&["/dutch-master", "status", "--json"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    let limit = |name: &str| {
        let mut all = status["listeners"].as_array().unwrap().iter();
        let found = all.find(|listener| listener["name"] == name);
        found.unwrap_or_else(|| panic!("Node {version}, {mode}: no {name} in {status}"))["limit"]
            .as_u64()
    };
    assert!(limit("127.0.0.1:8001") > Some(5) && limit("[::]:0") > Some(5));
    assert!(limit("lent") > Some(5) && limit("unix:/tmp/app.sock").is_none());
    // Older ones keep it to themselves.
    if version >= 16 {
        assert_eq!(limit("[::]:8006"), Some(5), "Node {version}, {mode}: the backlog");
    }
    let connections = status["workers"][0]["connections"].as_u64();
    assert_eq!(connections.is_some(), mode == "round-robin", "Node {version}, {mode}: {status}");
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
        shown_in_status(&container, version, mode);
        assert_eq!(container.stop().0, 0, "Node {version}, {mode}:\n{}", container.tail());
        let asked = container.whole_log().iter().filter(|entry| is_asked(entry)).count();
        assert_eq!(
            asked,
            1,
            "Node {version}, {mode}: asked five times, replaced once:\n{}",
            container.tail()
        );
        eprintln!("Node {version}, {mode}:\n{told}");
    }
}
