//! What goes in and what comes out: plain data. Members, listeners and connections are numbers.

use alloc::{string::String, vec::Vec};
use core::{fmt, num::NonZeroUsize, time::Duration};

use crate::wire::node::{Fault, SockName, Target};

/// How the cluster behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whether every worker gets the listening socket itself, instead of connections one by one.
    pub shared: bool,
    /// How many connections a worker may have unanswered. Node has 1; more than 4 only moves the
    /// queue from where anybody can take from it to where nobody can.
    pub in_flight: NonZeroUsize,
    /// Descriptors of the master's that `listen({fd})` may ask for.
    pub allowed: Vec<i32>,
    /// How long a draining worker is left alone before it is told to disconnect: Node 26 destroys
    /// what it has accepted and not yet read, so what it was handed needs time to be read.
    pub drain_pause: Duration,
    /// The same, counted from the worker's last answer.
    pub quiet_pause: Duration,
    /// When a draining worker is told to disconnect although it has not answered everything.
    pub drain_patience: Duration,
    /// How long a successor may stay silent after it has opened a server, before servers that its
    /// predecessor had count as given up by the new release.
    pub settle_pause: Duration,
    /// How long a worker rests that had no descriptor left for a connection.
    pub starved_rest: Duration,
    /// How long a worker rests that refused a connection.
    pub refused_rest: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shared: false,
            in_flight: NonZeroUsize::MIN,
            allowed: Vec::new(),
            drain_pause: Duration::from_millis(500),
            quiet_pause: Duration::from_millis(300),
            drain_patience: Duration::from_secs(5),
            settle_pause: Duration::from_secs(3),
            starved_rest: Duration::from_millis(250),
            refused_rest: Duration::from_millis(20),
        }
    }
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A worker is started with a channel.
    Joined {
        /// Its number, not used before.
        member: u64,
        /// Whose place it takes, if anybody's.
        replaces: Option<u64>,
    },
    /// Its channel was read.
    Received {
        /// Who wrote.
        member: u64,
        /// What.
        bytes: &'a [u8],
        /// How many descriptors came along. Keep them, oldest first, until told.
        descriptors: usize,
    },
    /// Too much waits for it to be read.
    Clogged {
        /// Who does not read.
        member: u64,
    },
    /// Its channel has ended.
    Closed {
        /// Whose.
        member: u64,
    },
    /// Its process has ended, and its channel was read to the end.
    Exited {
        /// Whose.
        member: u64,
    },
    /// An [`Effect::Open`] was tried.
    Opened {
        /// The listener that was to be opened.
        listener: u64,
        /// The TCP address it has got (nothing for other kinds), or libuv's negative errno.
        outcome: Result<Option<SockName>, i32>,
    },
    /// A connection was accepted.
    Accepted {
        /// From which listener.
        listener: u64,
        /// Its number, not used before.
        connection: u64,
    },
    /// An [`Effect::Inspect`] was done.
    Inspected {
        /// Which connection.
        connection: u64,
        /// Whether nobody has read from it or written to it, and its client is still there.
        untouched: bool,
    },
    /// A worker shall finish what it has.
    Drain {
        /// Which.
        member: u64,
    },
    /// The fleet is at rest: listeners that no worker has can go.
    Settled,
}

/// What goes with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// A listening (or, for UDP, bound) socket.
    Listener(u64),
    /// A connection; keep a copy until told to close it.
    Connection(u64),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write a line to a channel; with a descriptor, by a `sendmsg` of its own.
    Send {
        /// To whom.
        member: u64,
        /// The line, with its newline.
        line: Vec<u8>,
        /// The descriptor for its first byte, non-blocking.
        with: Option<Attachment>,
    },
    /// Open a socket and answer with [`Event::Opened`].
    Open {
        /// The number it shall have.
        listener: u64,
        /// What and where.
        target: Target,
        /// The length of its accept queue, if the worker cares.
        backlog: Option<u32>,
        /// Whether workers get the socket itself.
        shared: bool,
    },
    /// Close a listening socket, and unlink its path.
    CloseListener(u64),
    /// Accept from now on, or no more.
    Watch {
        /// From which listener.
        listener: u64,
        /// Whether connections are wanted.
        on: bool,
    },
    /// Read a channel from now on, or no more: it says too much.
    Listen {
        /// Whose.
        member: u64,
        /// Whether it is read.
        on: bool,
    },
    /// Find out whether a connection is untouched, and answer with [`Event::Inspected`].
    Inspect(u64),
    /// Close our copy of a connection.
    CloseConnection(u64),
    /// Close the oldest descriptors that a worker has sent.
    CloseDescriptors {
        /// Whose.
        member: u64,
        /// How many.
        count: usize,
    },
    /// It serves.
    Ready(u64),
    /// Its program asks for a replacement.
    RestartRequested(u64),
    /// It goes without having been told to.
    Left(u64),
    /// It has finished what it had, or there is nothing that it could be told: stop it.
    Drained(u64),
    /// It has gone too far: close its channel and replace it.
    GaveUp {
        /// Who.
        member: u64,
        /// What it has done.
        misdeed: Misdeed,
    },
    /// Something that whoever reads the log will want to know.
    Remark {
        /// About whom.
        member: u64,
        /// What.
        remark: Remark,
    },
}

/// Why a worker is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misdeed {
    /// It sends what is no message.
    Babble(Fault),
    /// It has more servers than [`KEY_LIMIT`](crate::wire::node::KEY_LIMIT).
    TooManyServers,
    /// It sends descriptors that belong to no message.
    TooManyDescriptors,
    /// It answers what was never sent.
    AnswersUnasked,
    /// It does not read.
    ReadsNothing,
}

impl fmt::Display for Misdeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Babble(fault) => return fault.fmt(f),
            Self::TooManyServers => "more servers than a worker may have",
            Self::TooManyDescriptors => "descriptors on the Node channel that no message claims",
            Self::AnswersUnasked => "an answer on the Node channel to what was never sent",
            Self::ReadsNothing => "too much waits on the Node channel for a worker to read it",
        })
    }
}

/// What is worth a line in the log, and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// It is Bun, whose HTTP servers bind by themselves: two such workers meet on one port.
    IsBun,
    /// One line was no message, and was dropped.
    Malformed,
    /// It has no descriptor left, and rests.
    Starved,
    /// It was refused a server.
    Refused {
        /// The server's key.
        key: String,
        /// Why, as libuv's negative errno.
        errno: i32,
    },
    /// It was found ready without servers that its predecessor had.
    FewerServers,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IsBun => f.write_str(
                "it is Bun, whose HTTP servers bind by themselves: workers meet on one port",
            ),
            Self::Malformed => f.write_str("a line on the Node channel was no message"),
            Self::Starved => f.write_str(
                "it has no descriptor left (RLIMIT_NOFILE), and gets nothing for a while",
            ),
            Self::Refused { key, errno } => {
                let why = match errno {
                    -98 => "EADDRINUSE",
                    -99 => "EADDRNOTAVAIL",
                    -13 => "EACCES",
                    -9 => "EBADF: listen({fd}) is for the sockets of LISTEN",
                    _ => return write!(f, "it can't have the server {key} (errno {errno})"),
                };
                write!(f, "it can't have the server {key}: {why}")
            }
            Self::FewerServers => f.write_str(
                "it serves less than its predecessor, and says nothing more: taken as ready",
            ),
        }
    }
}
