//! What a worker says in an `sd_notify(3)` datagram: `READY=1`, `STATUS=…`, one assignment a line.
//!
//! A datagram is at most 4 KiB; unknown keys and malformed lines are counted, never obeyed, and what
//! a person will see of it (the status) holds no control character.

mod value;

use alloc::{string::String, vec::Vec};
use core::fmt;

/// The longest datagram that is read; systemd's own limit.
pub const DATAGRAM_LIMIT: usize = 4096;
/// The longest status that is kept, in bytes: more than a screen line, less than a nuisance.
pub const STATUS_LIMIT: usize = 512;
/// The longest name of a stored descriptor; systemd's own limit (`FDNAME_MAX`).
pub const FD_NAME_LIMIT: usize = 255;

/// One assignment of a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// `READY=1`: it serves.
    Ready,
    /// `STOPPING=1`: it is going by itself.
    Stopping,
    /// `RELOADING=1`: it reads its configuration anew; `READY=1` follows.
    Reloading,
    /// `MONOTONIC_USEC=`: the worker's `CLOCK_MONOTONIC` at the reload, in microseconds.
    MonotonicUsec(u64),
    /// `STATUS=`: for people; harmless to print.
    Status(String),
    /// `ERRNO=`: why it fails, as an errno.
    Errno(i32),
    /// `BUSERROR=`: why it fails, as a D-Bus error name.
    BusError(String),
    /// `EXIT_STATUS=`: the code it will exit with.
    ExitStatus(u8),
    /// `MAINPID=`: the process that matters.
    MainPid(u32),
    /// `WATCHDOG=1`: it lives.
    Watchdog,
    /// `WATCHDOG=trigger`: it has found itself broken.
    WatchdogTrigger,
    /// `WATCHDOG_USEC=`: how often it will say that it lives, in microseconds; 0 ends the watch.
    WatchdogUsec(u64),
    /// `EXTEND_TIMEOUT_USEC=`: it needs so many microseconds more to start or to stop.
    ExtendTimeoutUsec(u64),
    /// `FDSTORE=1`: keep the descriptors that came with this datagram.
    FdStore,
    /// `FDSTOREREMOVE=1`: forget the stored descriptors of the name in `FDNAME=`.
    FdStoreRemove,
    /// `FDNAME=`: the name for `FDSTORE=1` and `FDSTOREREMOVE=1` of the same datagram.
    FdName(String),
    /// `FDPOLL=`: whether a stored descriptor that hangs up is dropped.
    FdPoll(bool),
    /// `NOTIFYACCESS=`: who may speak for the worker from now on.
    NotifyAccess(Access),
    /// `BARRIER=1`: close the descriptor that came along once everything before is done.
    Barrier,
    /// `X_RESTART=1`: replace me.
    RestartRequested,
    /// How many lines had a key that we do not know. At most once a datagram.
    Unknown(u16),
    /// How many lines were no assignment, or had a value that their key does not allow. At most once
    /// a datagram.
    Malformed(u16),
}

/// Who may speak for a worker: the values of `NOTIFYACCESS=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nobody.
    None,
    /// The main process only.
    Main,
    /// The main process and control processes.
    Exec,
    /// Every process of the worker.
    All,
}

/// A datagram that is not read at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyError {
    /// Longer than [`DATAGRAM_LIMIT`].
    TooLong,
    /// A NUL before the end: systemd refuses it too, for it hides what follows from C programs.
    EmbeddedNul,
    /// `BARRIER=1` with other assignments beside it, which `sd_notify_barrier(3)` forbids.
    CrowdedBarrier,
}

impl fmt::Display for NotifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "a notification of more than {DATAGRAM_LIMIT} bytes"),
            Self::EmbeddedNul => f.write_str("a notification with a NUL inside"),
            Self::CrowdedBarrier => f.write_str("BARRIER=1 must stand alone in its notification"),
        }
    }
}

impl core::error::Error for NotifyError {}

/// Reads one datagram.
pub fn parse(datagram: &[u8]) -> Result<Vec<Notice>, NotifyError> {
    if datagram.len() > DATAGRAM_LIMIT {
        return Err(NotifyError::TooLong);
    }
    let text = datagram.strip_suffix(b"\0").unwrap_or(datagram);
    if text.contains(&0) {
        return Err(NotifyError::EmbeddedNul);
    }
    let mut notices = Vec::new();
    let (mut unknown, mut malformed) = (0_u16, 0_u16);
    for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        match value::read(line) {
            value::Read::Known(notice) => notices.push(notice),
            value::Read::Unknown => unknown = unknown.saturating_add(1),
            value::Read::Malformed => malformed = malformed.saturating_add(1),
        }
    }
    notices.extend((unknown > 0).then_some(Notice::Unknown(unknown)));
    notices.extend((malformed > 0).then_some(Notice::Malformed(malformed)));
    if notices.contains(&Notice::Barrier) && notices.len() > 1 {
        return Err(NotifyError::CrowdedBarrier);
    }
    Ok(notices)
}

/// Whether a stored descriptor or a listener may have this name: systemd's rule, and not empty,
/// since an empty name vanishes from `LISTEN_FDNAMES`.
#[must_use]
pub fn is_fd_name(name: &str) -> bool {
    (1..=FD_NAME_LIMIT).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b':')
}
