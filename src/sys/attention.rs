//! Who of a process group has a socket and waits on it, read from /proc by a child of ours.
//!
//! What is seen is one moment. A thread in poll(2) or select(2), on the CPU or hidden from us may
//! wait on anything; one in any other call waits on what that call names. Any process may vanish at
//! any moment, and what can't be read within bounds is not known.

use std::{collections::BTreeMap, io::Read, os::fd::AsFd};

use cap_std::fs::Dir;

use super::{Pid, ask, host, proc};

/// Processes of one group that are looked at.
const MOST_PROCESSES: usize = 16;
/// Descriptors of one process, and threads.
const MOST_ENTRIES: usize = 4096;
/// Epoll sets of one process; of one with more, nothing is known.
const MOST_SETS: usize = 16;
/// Descriptors of a process in whose epoll sets one socket is looked for.
const MOST_POLLED: usize = 4096;
/// What the link of an epoll set says.
const EPOLL: &str = "anon_inode:[eventpoll]";
/// An environment has at most 2 MiB; ours stands at its end.
const LONGEST: u64 = 2 << 20;

/// What a process has to do with a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attention {
    /// It does not have it.
    Absent,
    /// It has it, and waits for something else.
    Elsewhere,
    /// It has it, and nobody can say what it waits for.
    Unknown,
    /// It waits on it.
    Waits,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Its pid.
    pub(crate) pid: Pid,
    /// Its parent; nothing outside of our pid namespace.
    pub(crate) parent: Option<Pid>,
    /// The kernel's name for its program.
    pub(crate) name: String,
    /// The number in `LISTEN_PID`, as it was started with.
    pub(crate) listen_pid: Option<Pid>,
    /// What it has to do with each socket, in the order asked.
    pub(crate) attention: Vec<Attention>,
}

/// How it is told from child to parent.
const LETTERS: [(char, Attention); 4] = [
    ('a', Attention::Absent),
    ('e', Attention::Elsewhere),
    ('u', Attention::Unknown),
    ('w', Attention::Waits),
];

impl Holder {
    fn told(&self) -> String {
        let number = |pid: Option<Pid>| pid.map_or(0, Pid::get);
        let Self { pid, parent, name, listen_pid, attention } = self;
        let letter = |one: &Attention| LETTERS.iter().find(|(_, other)| other == one);
        let letters: String = attention.iter().filter_map(letter).map(|(one, _)| *one).collect();
        format!("{pid} {} {} {letters} {name}\0", number(*parent), number(*listen_pid))
    }

    fn heard(told: &str) -> Option<Self> {
        let mut words = told.splitn(5, ' ');
        let mut number = || words.next()?.parse().ok();
        let (pid, parent, listen_pid) = (Pid::new(number()?)?, number()?, number()?);
        let letter = |one| LETTERS.iter().find(|(other, _)| *other == one);
        let attention = words.next()?.chars().filter_map(letter).map(|(_, one)| *one).collect();
        let (parent, listen_pid) = (Pid::new(parent), Pid::new(listen_pid));
        Some(Self { pid, parent, name: words.next()?.to_owned(), listen_pid, attention })
    }
}

/// Every process of a group; none where one of them hides from us, or where they are too many.
pub(crate) fn group(group: Pid, sockets: &[u64]) -> Vec<Holder> {
    let look = |proc: &Dir| {
        let found = look(proc, group, sockets).unwrap_or_default();
        found.iter().map(Holder::told).collect::<String>().into_bytes()
    };
    let told = ask::ask(group.number(), look).unwrap_or_default();
    String::from_utf8_lossy(&told).split('\0').filter_map(Holder::heard).collect()
}

/// Whether an epoll set of a process waits for this socket, as far as we may know; nothing where it can't
/// be told in time, or of a process with very much open. Any of its threads stands for it.
pub(crate) fn is_polled(thread: u32, socket: impl AsFd) -> Option<bool> {
    let inode = host::inode(socket)?;
    let told =
        ask::ask(thread, |proc| watches(proc, thread, inode).map(u8::from).into_iter().collect());
    told?.first().map(|is_polled| *is_polled == 1)
}

/// Looks at one set after the other, until one is found that has it: a program may have one for each CPU.
fn watches(proc: &Dir, thread: u32, inode: u64) -> Option<bool> {
    // Where that may not be read, nobody knows better later.
    let Ok(folder) = proc.open_dir(format!("{thread}/fd")) else { return Some(false) };
    for (count, entry) in folder.entries().ok()?.flatten().enumerate() {
        if count >= MOST_POLLED {
            return None;
        }
        let number = entry.file_name();
        let is_set = |link: &std::path::Path| link.as_os_str() == EPOLL;
        if !folder.read_link_contents(&number).is_ok_and(|link| is_set(&link)) {
            continue;
        }
        let text = text(proc, &format!("{thread}/fdinfo/{}", number.display()));
        if text.is_some_and(|text| text.lines().filter_map(watched).any(|one| one == inode)) {
            return Some(true);
        }
    }
    Some(false)
}

/// The first word of a process's command line: of a script, its interpreter. Nothing when it is gone;
/// the kernel's name for it where the command line can't be read in time.
pub(crate) fn program(proc: &Dir, pid: Pid) -> Option<String> {
    let name = proc::stat_of(proc, pid)?.name;
    let look = |proc: &Dir| proc::first_word(proc, pid).into_bytes();
    let Some(word) = ask::ask(pid.number(), look) else { return Some(name) };
    String::from_utf8(word).ok().filter(|word| !word.is_empty())
}

fn look(proc: &Dir, group: Pid, sockets: &[u64]) -> Option<Vec<Holder>> {
    let mut found = Vec::new();
    for pid in proc::pids(proc) {
        let Some(stat) = proc::stat_of(proc, pid).filter(|stat| stat.group == group) else {
            continue;
        };
        // One that has ended since, or waits to be reaped, has nothing.
        if stat.is_over {
            continue;
        }
        if found.len() >= MOST_PROCESSES {
            return None;
        }
        let attention = attention(proc, pid, sockets)?;
        let (parent, name) = (stat.parent, stat.name);
        found.push(Holder { pid, parent, name, listen_pid: listen_pid(proc, pid), attention });
    }
    Some(found)
}

/// What a process's descriptors are.
#[derive(Default)]
struct Descriptors {
    /// Inode numbers of its sockets, by descriptor.
    sockets: BTreeMap<u64, u64>,
    /// Inode numbers of what its epolls watch.
    watched: Vec<u64>,
    has_uring: bool,
}

fn attention(proc: &Dir, pid: Pid, sockets: &[u64]) -> Option<Vec<Attention>> {
    let own = descriptors(proc, pid)?;
    let calls = calls(proc, pid);
    let of = |socket: &u64| {
        if !own.sockets.values().any(|one| one == socket) {
            return Attention::Absent;
        }
        let names =
            |call: &Call| matches!(call, Call::On(fd) if own.sockets.get(fd) == Some(socket));
        if own.watched.contains(socket) || calls.iter().any(names) {
            return Attention::Waits;
        }
        if own.has_uring || calls.is_empty() || calls.contains(&Call::Any) {
            return Attention::Unknown;
        }
        Attention::Elsewhere
    };
    Some(sockets.iter().map(of).collect())
}

fn descriptors(proc: &Dir, pid: Pid) -> Option<Descriptors> {
    let (mut own, mut sets) = (Descriptors::default(), 0_usize);
    let folder = proc.open_dir(format!("{pid}/fd")).ok()?;
    for (count, entry) in folder.entries().ok()?.flatten().enumerate() {
        if count >= MOST_ENTRIES {
            return None;
        }
        let number = entry.file_name();
        let Ok(link) = folder.read_link_contents(&number) else { continue };
        let (number, link) = (number.to_str()?, link.to_str().unwrap_or_default());
        if let Some(inode) = link.strip_prefix("socket:[") {
            own.sockets.insert(number.parse().ok()?, inode.trim_end_matches(']').parse().ok()?);
        } else if link == EPOLL {
            sets = sets.saturating_add(1);
            if sets > MOST_SETS {
                return None;
            }
            let text = text(proc, &format!("{pid}/fdinfo/{number}"))?;
            own.watched.extend(text.lines().filter_map(watched));
        }
        own.has_uring |= link == "anon_inode:[io_uring]";
    }
    Some(own)
}

/// `tfd: 5 events: 19 data: 5  pos:0 ino:12af sdev:8` (`proc_pid_fdinfo(5)`).
fn watched(line: &str) -> Option<u64> {
    let mut words = line.strip_prefix("tfd:")?.split_ascii_whitespace();
    let inode = words.find_map(|word| word.strip_prefix("ino:"))?;
    u64::from_str_radix(inode, 16).ok()
}

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// Waiting on this descriptor.
    On(u64),
    /// Anything.
    Any,
    /// Waiting for something that is no descriptor, or for those of an epoll.
    Other,
}

/// What each thread does; empty where that can't be seen.
fn calls(proc: &Dir, pid: Pid) -> Vec<Call> {
    let Ok(threads) = proc.open_dir(format!("{pid}/task")) else { return Vec::new() };
    let entries = threads.entries().into_iter().flatten().flatten().take(MOST_ENTRIES);
    let call = |entry: cap_std::fs::DirEntry| {
        let thread = entry.file_name();
        let path = std::path::Path::new(&thread).join("syscall");
        let text = threads.read_to_string(path).ok();
        text.map_or(Call::Any, |text| call(&text))
    };
    entries.map(call).collect()
}

/// `running`, or `-1 SP PC`, or the number of a call and its arguments (`proc_pid_syscall(5)`).
fn call(text: &str) -> Call {
    let mut words = text.split_ascii_whitespace();
    let Some(number) = words.next().and_then(|word| word.parse::<libc::c_long>().ok()) else {
        return Call::Any;
    };
    let first = words.next().and_then(|word| word.strip_prefix("0x"));
    let first = first.and_then(|word| u64::from_str_radix(word, 16).ok());
    let is_one_of = |calls: &[libc::c_long]| calls.contains(&number);
    if is_one_of(ON_ONE) {
        return first.map_or(Call::Any, Call::On);
    }
    if number < 0 || is_one_of(ON_MANY) || is_one_of(ON_MANY_ONCE) {
        Call::Any
    } else {
        Call::Other
    }
}

const ON_ONE: &[libc::c_long] = &[
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_read,
];
const ON_MANY: &[libc::c_long] = &[libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_io_uring_enter];
/// Calls that younger architectures do without.
#[cfg(target_arch = "x86_64")]
const ON_MANY_ONCE: &[libc::c_long] = &[libc::SYS_poll, libc::SYS_select];
#[cfg(not(target_arch = "x86_64"))]
const ON_MANY_ONCE: &[libc::c_long] = &[];

/// What getenv(3) of a program just started would find.
fn listen_pid(proc: &Dir, pid: Pid) -> Option<Pid> {
    let text = text(proc, &format!("{pid}/environ"))?;
    let value = text.split('\0').find_map(|entry| entry.strip_prefix("LISTEN_PID="))?;
    Pid::new(value.parse().ok()?)
}

fn text(proc: &Dir, path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    proc.open(path).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
