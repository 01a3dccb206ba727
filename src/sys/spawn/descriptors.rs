//! The child's descriptor table: each listed descriptor at its number, nothing else from 3 on.
//!
//! Sources and targets may overlap in any way, so everything is first copied out of the way, above
//! the highest target, and then put into place. The child allocates nothing: the vectors are made
//! with room by the parent.
//!
//! # Safety: why this file
//!
//! dup2(2) onto a number and `close_range(2)` deal with numbers that no value owns.
#![allow(unsafe_code, reason = "descriptors as numbers, between fork and exec")]

use rustix::{fs, io, process as kernel};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::Step;
use crate::sys::Errno;

/// The first number that is not standard input, output or error.
const FIRST: RawFd = 3;

/// What goes where.
pub(super) struct Table<'a> {
    wanted: Vec<(RawFd, BorrowedFd<'a>)>,
    staged: Vec<(RawFd, RawFd)>,
    keep: Vec<RawFd>,
    /// The lowest number that is no target.
    floor: RawFd,
}

impl<'a> Table<'a> {
    /// Reserves all the room that the child needs.
    pub(super) fn new(wanted: &[(RawFd, BorrowedFd<'a>)]) -> Self {
        let above = wanted.iter().map(|&(target, _)| target.saturating_add(1)).max();
        Self {
            wanted: wanted.to_vec(),
            staged: Vec::with_capacity(wanted.len()),
            keep: Vec::with_capacity(wanted.len().saturating_add(2)),
            floor: above.unwrap_or(FIRST).max(FIRST),
        }
    }

    /// A copy that is out of the way of all targets, and stays open.
    pub(super) fn spare(&mut self, source: BorrowedFd<'_>) -> Result<OwnedFd, (Step, Errno)> {
        let failed = |errno: io::Errno| (Step::Descriptors, errno.into());
        let copy = io::fcntl_dupfd_cloexec(source, self.floor).map_err(failed)?;
        self.keep.push(copy.as_raw_fd());
        Ok(copy)
    }

    /// Puts every descriptor into its place. `report` may move.
    pub(super) fn place(&mut self, report: &mut OwnedFd) -> Result<(), (Step, Errno)> {
        let failed = |errno: io::Errno| (Step::Descriptors, errno.into());
        if report.as_raw_fd() < self.floor {
            *report = io::fcntl_dupfd_cloexec(&*report, self.floor).map_err(failed)?;
        }
        for &(target, source) in &self.wanted {
            let copy = io::fcntl_dupfd_cloexec(source, self.floor).map_err(failed)?;
            // Kept as a number: it is closed with all others.
            self.staged.push((target, std::os::fd::IntoRawFd::into_raw_fd(copy)));
        }
        for &(target, copy) in &self.staged {
            // SAFETY: two numbers. Whatever was open at the target belongs to this child, which runs
            // no other code of ours that could still use it.
            if unsafe { libc::dup2(copy, target) } == -1 {
                return Err((Step::Descriptors, nix::errno::Errno::last().into()));
            }
            self.keep.push(target);
        }
        Ok(())
    }

    /// Closes everything from 3 on but the targets and `report`.
    pub(super) fn close_others(&mut self, report: &OwnedFd) -> Result<(), (Step, Errno)> {
        self.keep.push(report.as_raw_fd());
        self.keep.sort_unstable();
        close_all_but(&self.keep)
    }
}

/// Closes everything from 3 on but these, and leaves the working directory for the root: for a process
/// that goes on with nothing of what it inherited. Whoever owned the others must never use them again.
pub(crate) fn let_go(keep: &[BorrowedFd<'_>]) {
    let mut keep: Vec<_> = keep.iter().map(AsRawFd::as_raw_fd).collect();
    keep.sort_unstable();
    let _ = close_all_but(&keep);
    let _ = kernel::chdir(c"/");
}

/// `keep` is in order.
fn close_all_but(keep: &[RawFd]) -> Result<(), (Step, Errno)> {
    let mut first = FIRST;
    for &kept in keep.iter().filter(|&&kept| kept >= FIRST) {
        if kept > first && !close_range(first, kept.saturating_sub(1)) {
            return close_listed(keep);
        }
        first = kept.saturating_add(1);
    }
    if close_range(first, RawFd::MAX) { Ok(()) } else { close_listed(keep) }
}

/// False where the kernel is older than 5.9 or a seccomp filter does not know the call.
fn close_range(first: RawFd, last: RawFd) -> bool {
    // SAFETY: numbers only; see `place` for why nobody misses what is closed.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) == 0 }
}

/// The same by looking at what is open, and without /proc by trying every number.
fn close_listed(keep: &[RawFd]) -> Result<(), (Step, Errno)> {
    let flags = fs::OFlags::DIRECTORY | fs::OFlags::RDONLY | fs::OFlags::CLOEXEC;
    let Ok(listing) = fs::open(c"/proc/self/fd", flags, fs::Mode::empty()) else {
        close_every(keep);
        return Ok(());
    };
    let mut room = [MaybeUninit::<u8>::uninit(); 2048];
    let mut entries = fs::RawDir::new(&listing, &mut room);
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(|errno| (Step::CloseOthers, errno.into()))?;
        let number = number(entry.file_name().to_bytes());
        if number >= FIRST && number != listing.as_raw_fd() && keep.binary_search(&number).is_err()
        {
            close(number);
        }
    }
    Ok(())
}

/// A limit above this is set only by those who did not mean it; a descriptor up there is ours to close
/// all the same, but without /proc it would take minutes to try.
const TRIED: u64 = 1 << 20;

fn close_every(keep: &[RawFd]) {
    let limit = kernel::getrlimit(kernel::Resource::Nofile).current.unwrap_or(TRIED).min(TRIED);
    let limit = RawFd::try_from(limit).unwrap_or(RawFd::MAX);
    (FIRST..limit).filter(|number| keep.binary_search(number).is_err()).for_each(close);
}

fn close(number: RawFd) {
    // SAFETY: as in `close_range`.
    unsafe { libc::close(number) };
}

/// The names `.` and `..` come out as zero.
fn number(name: &[u8]) -> RawFd {
    name.iter().filter(|byte| byte.is_ascii_digit()).fold(0, |number: RawFd, byte| {
        number.wrapping_mul(10).wrapping_add(RawFd::from(byte.wrapping_sub(b'0')))
    })
}

#[cfg(test)]
pub(super) fn close_without_close_range(keep: &[RawFd]) -> bool {
    close_listed(keep).is_ok()
}
