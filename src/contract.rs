//! How a worker gets its listeners, says that it is ready, and is told to stop.
//!
//! A contract turns what a worker says into the core's events, and the core's "drain" into what
//! that worker understands. It never decides who lives.

pub(crate) mod capture;
pub(crate) mod node;
pub(crate) mod program;
pub(crate) mod systemd;

use std::{ffi::OsStr, fmt, path::Path, time::Duration};

/// How the master and a worker understand each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Node's cluster protocol, with us as the primary.
    Node,
    /// Passed sockets and `sd_notify(3)`, and every dialect of the kind.
    Systemd,
    /// The program's own calls, intercepted.
    Capture,
    /// Nothing but signals.
    Plain,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Systemd => "systemd",
            Self::Capture => "capture",
            Self::Plain => "plain",
        })
    }
}

/// What makes a worker ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It listens on all that its predecessor did.
    Listening,
    /// It says so.
    Notify,
    /// It has lived so long.
    Delay(Duration),
    /// A command has succeeded for it.
    Exec,
    /// Its program has been started.
    Start,
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening => f.write_str("listening"),
            Self::Notify => f.write_str("notify"),
            Self::Delay(time) => write!(f, "delay:{time:?}"),
            Self::Exec => f.write_str("exec"),
            Self::Start => f.write_str("start"),
        }
    }
}

/// Programs whose stdin is a listener by convention: Java's `System.inheritedChannel()`.
const READS_FD_0: &[&str] = &["java"];

/// Whether a program expects its listener as descriptor 0.
pub(crate) fn wants_fd_0(program: &OsStr) -> bool {
    let name = Path::new(program).file_name().and_then(OsStr::to_str);
    name.is_some_and(|name| READS_FD_0.contains(&name))
}
