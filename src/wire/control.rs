//! What an operator and the master say to each other: one JSON object a line, each way.
//!
//! ```text
//! ▶ {"v":1,"op":"reload"}
//! ◀ {"v":1,"reply":"progress","from":1,"to":2,"done":1,"of":3,"is_revert":false}
//! ◀ {"v":1,"reply":"done","message":"generation 2 serves, 3 of 3 workers ready"}
//! ```
//!
//! A stream of replies ends with `done` or `refused`; then the next request may come. Fields that
//! are not known are ignored, so that either side may be the newer one.

mod status;

use alloc::{boxed::Box, format, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

pub use status::{
    Event, Finding, Gravity, LastRoll, Listener, Millis, Progress, Roll, Slot, Status, Worker,
};

/// The version of what is said here.
pub const VERSION: u8 = 1;
/// The longest request: none has more than a hundred bytes.
pub const REQUEST_LIMIT: usize = 4096;
/// The longest reply: the status of a fleet of some thousands.
pub const REPLY_LIMIT: usize = 1 << 20;

/// What an operator wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Request {
    /// Everything that there is to know.
    Status,
    /// Whether the loop answers.
    Live,
    /// Whether enough workers serve.
    Ready,
    /// The metrics as text.
    Metrics,
    /// What is wrong.
    Doctor,
    /// A rolling restart.
    Reload {
        /// Only if this is the generation that everybody shall be of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        if_generation: Option<u32>,
        /// Whether to be told how it goes.
        #[serde(default = "yes")]
        wait: bool,
    },
    /// A graceful stop.
    Stop {
        /// Whether to be told of its end.
        #[serde(default = "yes")]
        wait: bool,
    },
    /// Another number of workers: either `to` or `by`.
    Scale {
        /// So many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<u16>,
        /// So many more, or fewer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<i16>,
    },
    /// What a signal of this number would do.
    Signal {
        /// As in signal(7).
        number: i32,
    },
    /// What has happened.
    Events {
        /// And what will.
        #[serde(default)]
        follow: bool,
    },
}

const fn yes() -> bool {
    true
}

/// What the master says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// It is so, or was done. The last reply.
    Done {
        /// In a sentence.
        message: String,
    },
    /// It is not so, or could not be done. The last reply.
    Refused {
        /// Why.
        problem: String,
    },
    /// To `status`; the last reply.
    Status {
        /// All of it.
        status: Box<Status>,
    },
    /// To `metrics`; the last reply.
    Text {
        /// The text.
        text: String,
    },
    /// To `doctor`; the last reply.
    Findings {
        /// The worst first.
        findings: Vec<Finding>,
    },
    /// How far a roll is; more follows.
    Progress(Progress),
    /// Something that happened; more follows.
    Event {
        /// What.
        event: Event,
    },
}

impl Reply {
    /// Whether nothing follows it.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        !matches!(self, Self::Progress(_) | Self::Event { .. })
    }
}

#[derive(Serialize)]
struct Envelope<T> {
    v: u8,
    #[serde(flatten)]
    inside: T,
}

/// A request as a line, with its end.
#[must_use]
pub fn ask(request: &Request) -> String {
    line(request)
}

/// A reply as a line, with its end.
#[must_use]
pub fn answer(reply: &Reply) -> String {
    line(reply)
}

fn line<T: Serialize>(inside: &T) -> String {
    // Plain values with text for keys: there is nothing that can't be written.
    let mut text = serde_json::to_string(&Envelope { v: VERSION, inside }).unwrap_or_default();
    text.push('\n');
    text
}

/// Reads a request, without its line's end; or says what is wrong with it.
pub fn request(line: &[u8]) -> Result<Request, String> {
    read(line, REQUEST_LIMIT)
}

/// Reads a reply, without its line's end; or says what is wrong with it.
pub fn reply(line: &[u8]) -> Result<Reply, String> {
    read(line, REPLY_LIMIT)
}

fn read<T: for<'a> Deserialize<'a>>(line: &[u8], limit: usize) -> Result<T, String> {
    #[derive(Deserialize)]
    struct Version {
        v: u8,
    }
    if line.len() > limit {
        return Err(format!("a line of more than {limit} bytes"));
    }
    let told = |error: serde_json::Error| -> String {
        format!("not understood: {error}").chars().take(300).collect()
    };
    let Version { v } = serde_json::from_slice(line).map_err(told)?;
    if v != VERSION {
        return Err(format!("version {v}: only {VERSION} is spoken here"));
    }
    serde_json::from_slice(line).map_err(told)
}
