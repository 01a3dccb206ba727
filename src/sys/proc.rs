//! How much memory and CPU time processes use, read from a directory handle of /proc.
//!
//! Any process may vanish at any moment: then it simply does not count.

use std::{collections::BTreeMap, io::Read, time::Duration};

use cap_std::fs::Dir;

use super::Pid;

/// `USER_HZ`, the unit of times in /proc: 100 on every architecture that Rust runs Linux on.
const TICK: Duration = Duration::from_millis(10);
/// `stat` has about 350 bytes, `statm` 50; anything longer is not one of them.
const LONGEST: u64 = 4096;
/// `net/netstat` has about 8 KiB.
const LONGEST_TABLE: u64 = 64 << 10;

/// What processes use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Memory in RAM, in bytes; pages that processes share count for each of them.
    pub(crate) resident: u64,
    /// CPU time since the start.
    pub(crate) cpu: Duration,
    /// How many processes.
    pub(crate) processes: u32,
}

impl Usage {
    fn add(&mut self, other: Self) {
        self.resident = self.resident.saturating_add(other.resident);
        self.cpu = self.cpu.saturating_add(other.cpu);
        self.processes = self.processes.saturating_add(other.processes);
    }
}

/// What one process uses; nothing when it is gone.
#[cfg(test)]
pub(crate) fn process(proc: &Dir, pid: Pid) -> Option<Usage> {
    usage(proc, pid, &stat_of(proc, pid)?)
}

/// What all processes of each of these process groups use, in the order asked.
pub(crate) fn groups(proc: &Dir, groups: &[Pid]) -> Vec<Usage> {
    let mut sums: BTreeMap<Pid, Usage> =
        groups.iter().map(|&group| (group, Usage::default())).collect();
    for pid in pids(proc) {
        let Some(stat) = stat_of(proc, pid) else { continue };
        if let Some(sum) = sums.get_mut(&stat.group) {
            sum.add(usage(proc, pid, &stat).unwrap_or_default());
        }
    }
    groups.iter().map(|group| sums.get(group).copied().unwrap_or_default()).collect()
}

/// The first word of a process's command line, if any. It may never come: see `ask`.
pub(crate) fn first_word(proc: &Dir, pid: Pid) -> String {
    let words = read(proc, pid, "cmdline").unwrap_or_default();
    words.split('\0').next().unwrap_or_default().to_owned()
}

/// How many connections the kernel has dropped because an accept queue was full, in our network namespace.
pub(crate) fn listen_drops(proc: &Dir) -> Option<u64> {
    let mut text = String::new();
    proc.open("net/netstat").ok()?.take(LONGEST_TABLE).read_to_string(&mut text).ok()?;
    // A line of names, then one of values (proc_pid_net(5)).
    let mut rows = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, values) = (rows.next()?.split(' '), rows.next()?.split(' '));
    names.zip(values).find(|(name, _)| *name == "ListenDrops")?.1.parse().ok()
}

/// Every process.
pub(super) fn pids(proc: &Dir) -> impl Iterator<Item = Pid> {
    let entries = proc.entries().into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::new(entry.file_name().to_str()?.parse().ok()?))
}

/// What we need of `/proc/PID/stat` (`proc_pid_stat(5)`).
#[derive(Clone)]
pub(super) struct Stat {
    /// The kernel's name for its program.
    pub(super) name: String,
    /// Whether it has ended, and only waits to be reaped.
    pub(super) is_over: bool,
    pub(super) parent: Option<Pid>,
    pub(super) group: Pid,
    cpu: Duration,
}

/// What a process is; nothing when it is gone.
pub(super) fn stat_of(proc: &Dir, pid: Pid) -> Option<Stat> {
    stat(&read(proc, pid, "stat")?)
}

/// The name of a program may hold spaces, brackets and line ends, so fields are counted from its last bracket on.
fn stat(text: &str) -> Option<Stat> {
    let (begin, fields) = text.rsplit_once(')')?;
    let (_, name) = begin.split_once('(')?;
    let mut fields = fields.split_ascii_whitespace();
    let is_over = matches!(fields.next()?, "Z" | "X");
    let parent = Pid::new(fields.next()?.parse().ok()?);
    let group = Pid::new(fields.next()?.parse().ok()?)?;
    let user: u32 = fields.nth(8)?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(Stat {
        name: name.to_owned(),
        is_over,
        parent,
        group,
        cpu: TICK.saturating_mul(user.saturating_add(system)),
    })
}

fn usage(proc: &Dir, pid: Pid, stat: &Stat) -> Option<Usage> {
    let text = read(proc, pid, "statm")?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    Some(Usage { resident: pages.saturating_mul(page), cpu: stat.cpu, processes: 1 })
}

fn read(proc: &Dir, pid: Pid, file: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let file = proc.open(format!("{pid}/{file}")).ok()?;
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

    use std::{
        os::unix::process::CommandExt,
        process::{Child, Command, Stdio},
    };

    use super::*;

    fn proc() -> Dir {
        Dir::open_ambient_dir("/proc", cap_std::ambient_authority()).unwrap()
    }

    fn pid(child: &Child) -> Pid {
        Pid::new(child.id().try_into().unwrap()).unwrap()
    }

    /// Three `sleep`s in a process group of their own.
    fn group() -> [Child; 3] {
        let sleep = |group| {
            let mut command = Command::new("sleep");
            command.arg("60").process_group(group).stdin(Stdio::null()).spawn().unwrap()
        };
        let leader = sleep(0);
        let group = pid(&leader).get();
        [leader, sleep(group), sleep(group)]
    }

    #[test]
    fn our_own_memory_and_time_are_seen() {
        let before = process(&proc(), Pid::own()).unwrap();
        assert!(before.resident > 100_000 && before.resident < 1 << 32, "{before:?}");
        let ballast = vec![1u8; 64 << 20];
        let mut sum = 0u64;
        while process(&proc(), Pid::own()).unwrap().cpu < before.cpu + 5 * TICK {
            sum = ballast.iter().fold(sum, |sum, &byte| sum.wrapping_mul(31) + u64::from(byte));
        }
        let after = process(&proc(), Pid::own()).unwrap();
        assert!(after.resident > before.resident + (32 << 20), "{before:?} {after:?} {sum}");
    }

    #[test]
    fn a_group_is_the_sum_of_its_processes() {
        let mut children = group();
        let [leader, ..] = &children;
        let seen = || groups(&proc(), &[pid(leader), Pid::new(i32::MAX).unwrap()]);
        let alone = || process(&proc(), pid(leader)).unwrap();
        // Each has just become its program, and has not loaded all of it.
        while seen()[0].resident <= 2 * alone().resident {
            std::thread::yield_now();
        }
        let (found, alone) = (seen(), alone());
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(found[0].processes, 3);
        assert!(found[0].resident > 2 * alone.resident);
        assert_eq!(found[1], Usage::default());
    }

    #[test]
    fn a_process_that_is_gone_uses_nothing() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(process(&proc(), pid(&child)), None);
    }

    #[test]
    fn the_strangest_names_of_programs_are_read_over() {
        for name in ["a b", ") R 1 2 3", "((", "x)\n1 (y", "\u{fffd}"] {
            let text =
                format!("77 ({name}) S 1 55 55 0 -1 4194560 1 2 3 4 250 50 9 9 20 0 1 0 7 8 9");
            let stat = stat(&text).unwrap();
            assert_eq!((stat.group.get(), stat.cpu), (55, Duration::from_secs(3)));
            assert_eq!((stat.name.as_str(), stat.parent), (name, Pid::new(1)));
        }
    }

    #[test]
    fn half_a_line_is_no_process() {
        for text in ["", "1", "1 (x", "1 (x)", "1 (x) S 1 5 5 0 -1 4 1 2 3 4 250"] {
            assert!(stat(text).is_none());
        }
    }
}
