//! What the master holds: its descriptors by kind, and its memory.

use std::{collections::BTreeMap, fs, path::Path};

use crate::harness::Container;

/// What the allocator may keep for itself, and the last events take, once they are all there.
const SLACK: u64 = 1024;
/// Where releases are: which of them is held does not matter, how many does.
const RELEASES: &str = "/srv/";
/// The kind of a lane.
const LANE: &str = "tcp listening";

/// What the master holds at one moment.
#[derive(Debug)]
pub(crate) struct Costs {
    descriptors: BTreeMap<String, usize>,
    kibibytes: u64,
}

impl Costs {
    /// What it holds now.
    pub(crate) fn of(container: &Container) -> Self {
        let kibibytes = container.status_of_master("VmRSS");
        let kibibytes = kibibytes.trim_end_matches(" kB").trim().parse().expect("a number");
        let pid = container.inspect("{{.State.Pid}}");
        Self { descriptors: descriptors(Path::new("/proc").join(pid).as_path()), kibibytes }
    }

    /// Whether these are the same, but for lanes: of those there may be `lanes` in all. A lane stays for
    /// whoever comes next, so there are as many as there ever were workers at the same time.
    pub(crate) fn are_no_more_than(&self, before: &Self, lanes: usize) -> bool {
        let others = |costs: &Self| {
            let mut others = costs.descriptors.clone();
            (others.remove(LANE).unwrap_or_default(), others)
        };
        let ((have, now), (had, then)) = (others(self), others(before));
        have <= lanes.max(had) && now == then
    }

    /// Whether the memory is the same.
    pub(crate) fn are_as_small_as(&self, before: &Self) -> bool {
        self.kibibytes <= before.kibibytes + SLACK
    }
}

fn descriptors(process: &Path) -> BTreeMap<String, usize> {
    let sockets = sockets(process);
    let mut counts = BTreeMap::new();
    for entry in fs::read_dir(process.join("fd")).expect("descriptors") {
        // One that was closed meanwhile is not held.
        let Ok(target) = fs::read_link(entry.expect("a descriptor").path()) else { continue };
        let target = target.to_string_lossy().into_owned();
        let kind = match target.split_once(":[") {
            Some(("socket", inode)) => {
                let inode = inode.trim_end_matches(']');
                sockets.get(inode).cloned().unwrap_or_else(|| "socket without a name".to_owned())
            }
            Some((kind, _)) => kind.to_owned(),
            None if target.starts_with(RELEASES) => "a release".to_owned(),
            None => target,
        };
        *counts.entry(kind).or_insert(0) += 1;
    }
    counts
}

/// The kinds of all sockets of a process's network, by inode. What is in no table has not been bound
/// or connected, or no longer is.
fn sockets(process: &Path) -> BTreeMap<String, String> {
    let mut kinds = BTreeMap::new();
    for table in ["tcp", "tcp6", "udp", "unix"] {
        let text = fs::read_to_string(process.join("net").join(table)).unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (inode, kind) = match (table, words.get(3)) {
                ("unix", _) => (words.get(6), "unix".to_owned()),
                ("tcp" | "tcp6", Some(&"0A")) => (words.get(9), LANE.to_owned()),
                _ => (words.get(9), table.to_owned()),
            };
            kinds.extend(inode.map(|inode| ((*inode).to_owned(), kind)));
        }
    }
    kinds
}
