//! Which Node there is, and how a fleet of it is set up.

use std::{env, fs};

use crate::harness::{Container, Setup};

/// Where the programs of this suite lie.
const SITES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/sites");

/// The Node of this major version and everything later destroys, when it closes a server, what it
/// has accepted and not read: no primary can prevent that in shared mode.
pub(crate) const EAGER: u32 = 26;

fn folder() -> String {
    env::var("NODES").expect(
        "NODES names no folder of Node programs: run this suite by scripts/test node, which brings \
         them",
    )
}

/// Every major version that there is.
pub(crate) fn versions() -> Vec<u32> {
    let entries = fs::read_dir(folder()).expect("the folder of Node programs");
    let mut versions: Vec<u32> = entries
        .filter_map(|entry| {
            entry.ok()?.file_name().into_string().ok()?.strip_prefix("node")?.parse().ok()
        })
        .collect();
    versions.sort_unstable();
    assert!(!versions.is_empty(), "no Node in {}", folder());
    versions
}

/// The one that tests use to which the version does not matter.
pub(crate) fn usual() -> u32 {
    let versions = versions();
    if versions.contains(&24) { 24 } else { versions[0] }
}

/// Every version with each way to hand out connections, as far as it keeps what it is handed.
pub(crate) fn fleets() -> Vec<(u32, &'static str)> {
    let modes = |version| ["round-robin", "shared"].map(|mode| (version, mode));
    versions().into_iter().flat_map(modes).collect()
}

fn number(name: &str, usually: usize) -> usize {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usually)
}

/// How often a fleet is rolled under load.
pub(crate) fn rolls() -> usize {
    number("NODE_ROLLS", 5)
}

/// How often a fleet is rolled to see what that leaves behind.
pub(crate) fn leak_rolls() -> usize {
    number("NODE_LEAK_ROLLS", 20)
}

/// Two workers of `program` (a file of sites, and its arguments) by a version of Node.
pub(crate) fn fleet(version: u32, program: &str) -> Setup {
    runtime(&format!("/node/node{version} /sites/{program}"))
}

/// Two workers of `command`, which may name programs of /node and files of /sites.
pub(crate) fn runtime(command: &str) -> Setup {
    Setup::command(command)
        .set("WORKERS", "2")
        .set("BACKOFF", "50ms-1s")
        .options(&format!("--volume {}:/node:ro --volume {SITES}:/sites:ro", folder()))
        .options("--sysctl net.ipv6.conf.all.disable_ipv6=0")
}

/// One of the master's metrics, which has no labels.
#[track_caller]
pub(crate) fn metric(container: &Container, name: &str) -> f64 {
    let text = container.exec(&["/dutch-master", "metrics"]);
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}
