//! A worker's channel as it is read: bytes in, messages out, faults counted.

use core::fmt;

use super::{BUN_MARK, Dialect, Incoming, LINE_LIMIT, MALFORMED_LIMIT};
use crate::wire::line::{Lines, Overlong};

/// What is wrong with what a worker has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// One line is no message; it is dropped.
    Malformed,
    /// More than [`MALFORMED_LIMIT`] lines were no message: give the worker up.
    TooManyMalformed,
    /// A line of more than [`LINE_LIMIT`] bytes: give the worker up.
    LineTooLong,
}

impl Fault {
    /// Whether the worker must be given up.
    #[must_use]
    pub const fn is_fatal(self) -> bool {
        !matches!(self, Self::Malformed)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("a line on the Node channel that is no message"),
            Self::TooManyMalformed => {
                write!(f, "more than {MALFORMED_LIMIT} lines on the Node channel are no message")
            }
            Self::LineTooLong => {
                write!(f, "a line of more than {LINE_LIMIT} bytes on the Node channel")
            }
        }
    }
}

impl core::error::Error for Fault {}

/// The reading half of a channel. Take every message after each feed.
#[derive(Debug)]
pub struct Inbox {
    lines: Lines,
    malformed: u16,
    dialect: Dialect,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            lines: Lines::new(LINE_LIMIT, Overlong::Refuse),
            malformed: 0,
            dialect: Dialect::default(),
        }
    }
}

impl Inbox {
    /// Adds bytes as they were read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.lines.feed(bytes);
    }

    /// The next message or fault, or nothing when more bytes are needed.
    pub fn take_message(&mut self) -> Option<Result<Incoming, Fault>> {
        let Ok(line) = self.lines.take_line()? else {
            return Some(Err(Fault::LineTooLong));
        };
        let message = if let Some(text) = line.strip_prefix(&[BUN_MARK]) {
            self.dialect = Dialect::Bun;
            Incoming::read_marked(text)
        } else {
            Incoming::read(&line)
        };
        if message.is_err() {
            self.malformed = self.malformed.saturating_add(1);
        }
        if self.malformed > MALFORMED_LIMIT {
            return Some(Err(Fault::TooManyMalformed));
        }
        Some(message)
    }

    /// How the worker frames its messages, and so wants ours: known once it has sent one.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether no message is half read: a descriptor that nobody has claimed by now is a stray.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.lines.pending() == 0
    }
}
