//! What an init has to do with its family: parent, terminal, and every descendant.
//!
//! # Safety: why this file
//!
//! prctl for any signal number, kill of everybody and TIOCNOTTY are only in libc.
#![allow(unsafe_code, reason = "calls that only libc has")]

use rustix::process as kernel;
use std::collections::BTreeMap;
use std::{fs, ptr};

use super::{Errno, Pid, host, signals};

/// From now on we get `signal` when our parent dies; at once, if it has died already.
pub(crate) fn follow_parent(signal: i32) -> Result<(), Errno> {
    let parent = kernel::getppid();
    // SAFETY: prctl with this option takes a number and touches no memory.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) } == -1 {
        return Err(last_errno());
    }
    if kernel::getppid() == parent { Ok(()) } else { signals::kill(Pid::own(), signal) }
}

/// Gives up the terminal on standard input, so that a child may make it its own.
///
/// True if we led its session: then the kernel has sent SIGHUP and SIGCONT to the group in front.
pub(crate) fn detach_terminal() -> Result<bool, Errno> {
    // SAFETY: the request has no argument.
    if unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCNOTTY) } == -1 {
        return Err(last_errno());
    }
    // SAFETY: numbers only. The answer is zero for a session that began outside our PID namespace.
    Ok(unsafe { libc::getsid(0) } == Pid::own().get())
}

/// Puts our own group in front again, if `group` is. SIGTTOU must be blocked.
pub(crate) fn take_terminal_back(group: Pid) {
    // SAFETY: numbers only. Our group is zero if it began outside our PID namespace; the kernel refuses
    // to put that in front.
    unsafe {
        if libc::tcgetpgrp(libc::STDIN_FILENO) == group.get() {
            libc::tcsetpgrp(libc::STDIN_FILENO, libc::getpgrp());
        }
    }
}

/// Puts a child's group in front, if ours is. SIGTTOU must be blocked.
pub(crate) fn lend_terminal(group: Pid) {
    // SAFETY: numbers only.
    unsafe {
        if libc::tcgetpgrp(libc::STDIN_FILENO) == libc::getpgrp() {
            libc::tcsetpgrp(libc::STDIN_FILENO, group.get());
        }
    }
}

/// Whether our parent is a shell with job control: of our session, but not of our group. Only then will
/// somebody let us go on when we stop.
pub(crate) fn is_a_job() -> bool {
    // SAFETY: numbers only. What lies outside our PID namespace is zero.
    unsafe {
        let parent = libc::getppid();
        parent > 0
            && libc::getsid(parent) == libc::getsid(0)
            && libc::getpgid(parent) != libc::getpgrp()
    }
}

/// Gives back the memory of code and constants that only the start has needed. What is touched again
/// comes back from the page cache.
pub(crate) fn forget_the_start() {
    // SAFETY: numbers only.
    let (headers, count) =
        unsafe { (libc::getauxval(libc::AT_PHDR), libc::getauxval(libc::AT_PHNUM)) };
    let (Ok(at), Ok(count)) = (usize::try_from(headers), usize::try_from(count)) else { return };
    if at == 0 {
        return;
    }
    // SAFETY: the kernel says that so many program headers of this binary are there, and they stay.
    let headers: &[libc::Elf64_Phdr] =
        unsafe { std::slice::from_raw_parts(ptr::with_exposed_provenance(at), count) };
    let own = headers.iter().find(|header| header.p_type == libc::PT_PHDR);
    let Some(base) = own.and_then(|own| at.checked_sub(usize::try_from(own.p_vaddr).ok()?)) else {
        return;
    };
    for part in
        headers.iter().filter(|part| part.p_type == libc::PT_LOAD && part.p_flags & libc::PF_W == 0)
    {
        let (Ok(place), Ok(size)) = (usize::try_from(part.p_vaddr), usize::try_from(part.p_memsz))
        else {
            continue;
        };
        let place = base.wrapping_add(place);
        let inside = place.checked_rem(rustix::param::page_size()).unwrap_or_default();
        let start = ptr::with_exposed_provenance_mut(place.wrapping_sub(inside));
        // SAFETY: the pages were mapped from the file and never written, so they read the same again.
        unsafe { libc::madvise(start, size.wrapping_add(inside), libc::MADV_DONTNEED) };
    }
}

/// Sends `signal` to all descendants: as PID 1 to everybody, else to those found in /proc.
pub(crate) fn signal_descendants(signal: i32) {
    if host::is_pid_1() {
        // SAFETY: numbers only. For PID 1 of a namespace "everybody" ends at its border.
        unsafe { libc::kill(-1, signal) };
        return;
    }
    for pid in descendants() {
        let _ = signals::kill(pid, signal);
    }
}

fn last_errno() -> Errno {
    nix::errno::Errno::last().into()
}

/// Children, their children and so on; without /proc none.
fn descendants() -> Vec<Pid> {
    let mut children: BTreeMap<Pid, Vec<Pid>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::new);
        let parent =
            pid.and_then(|_| parent_in(&fs::read_to_string(entry.path().join("stat")).ok()?));
        if let (Some(pid), Some(parent)) = (pid, parent) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = children.remove(&Pid::own()).unwrap_or_default();
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.remove(pid).unwrap_or_default());
        next = next.saturating_add(1);
    }
    found
}

/// The parent in a line of `/proc/PID/stat`: the name before it may hold anything, even parentheses.
fn parent_in(stat: &str) -> Option<Pid> {
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(1)?.parse().ok().and_then(Pid::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{reap, testing::alone};
    use std::io::Read;
    use std::process::{Command, Stdio};

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent_in("7 (a) 9 (b) S 42 7 7"), Pid::new(42));
        assert_eq!(parent_in("7 (sh) S 0 7"), None);
        assert_eq!(parent_in("rubbish"), None);
    }

    #[test]
    fn grandchildren_get_the_signal_and_nobody_else_does() {
        alone("sys::kin::tests::grandchildren_get_the_signal_and_nobody_else_does", || {
            reap::subreaper().unwrap();
            let script = "sleep 1000 & sleep 1000 & echo; wait";
            #[expect(clippy::zombie_processes, reason = "reap sees to it")]
            let child =
                Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
            child.stdout.unwrap().read_exact(&mut [0]).unwrap();
            assert_eq!(descendants().len(), 3);
            signal_descendants(libc::SIGKILL);
            let mut dead = 0;
            while dead < 3 {
                dead += reap::reap().map_or(0, |(_, status)| {
                    assert_eq!(status.signal(), Some(libc::SIGKILL));
                    1
                });
            }
            assert!(!reap::has_children() && descendants().is_empty());
        });
    }
}
