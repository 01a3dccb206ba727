//! The only room that talks to the kernel: it does what it is told and decides nothing.
//!
//! Errors are plain values with the kernel's error number in them; what an error means for the
//! fleet is decided elsewhere. All `unsafe` of the program lives below this module.

pub(crate) mod ask;
pub(crate) mod attention;
pub(crate) mod cgroup;
pub(crate) mod channel;
pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod diag;
#[cfg(not(test))]
mod entry;
pub(crate) mod holds;
pub(crate) mod host;
mod interrupt;
pub(crate) mod kin;
pub(crate) mod limits;
pub(crate) mod local;
pub(crate) mod memory;
pub(crate) mod panic;
pub(crate) mod poll;
pub(crate) mod proc;
pub(crate) mod reap;
mod receive;
pub(crate) mod relay;
pub(crate) mod seccomp;
pub(crate) mod signals;
pub(crate) mod sink;
pub(crate) mod sockets;
mod sockopt;
pub(crate) mod spawn;
pub(crate) mod steer;
pub(crate) mod terminal;
pub(crate) mod users;
pub(crate) mod watch;

use std::fmt;

/// The number of a process, always positive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Pid(i32);

impl Pid {
    /// A pid from the kernel's or a peer's number; zero and negative numbers name groups, not processes.
    pub(crate) const fn new(number: i32) -> Option<Self> {
        if number > 0 { Some(Self(number)) } else { None }
    }

    /// The number.
    pub(crate) const fn get(self) -> i32 {
        self.0
    }

    /// The number for those who count from zero.
    pub(crate) const fn number(self) -> u32 {
        self.0.unsigned_abs()
    }

    /// This process.
    pub(crate) fn own() -> Self {
        rustix::process::getpid().into()
    }
}

impl From<rustix::process::Pid> for Pid {
    fn from(pid: rustix::process::Pid) -> Self {
        Self(pid.as_raw_nonzero().get())
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// The kernel's error number; prints as the sentence errno(3) has for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Errno(pub(crate) i32);

impl Errno {
    /// Whether it says that there is no such process (ESRCH).
    pub(crate) const fn is_no_such_process(self) -> bool {
        self.0 == libc::ESRCH
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Self {
        Self(errno.raw_os_error())
    }
}

impl From<nix::errno::Errno> for Errno {
    fn from(errno: nix::errno::Errno) -> Self {
        Self(std::io::Error::from(errno).raw_os_error().unwrap_or_default())
    }
}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or_default())
    }
}

impl Errno {
    /// What strerror(3) says, word for word.
    pub(crate) fn strerror(self) -> String {
        let text = std::io::Error::from_raw_os_error(self.0).to_string();
        text.split(" (os error").next().unwrap_or_default().to_owned()
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.strerror().to_lowercase())
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Errno({}: {self})", self.0)
    }
}

impl std::error::Error for Errno {}

#[cfg(test)]
mod testing;
