//! What a worker says to its primary.

use alloc::string::String;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Fault, Query, TEXT_LIMIT, UserMessage, json::Scalar, query::Fields};

/// libuv's number for "invalid argument".
const EINVAL: i32 = -22;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// The worker's cluster part is set up; its program is about to run.
    Online,
    /// It opens a server, and waits until it is answered.
    Query(Query),
    /// It wants to open a server that makes no sense; answer it with this libuv errno.
    BadQuery {
        /// The message's number, which the reply carries.
        seq: u64,
        /// What to answer.
        errno: i32,
    },
    /// A server is ready.
    Listening(Query),
    /// A server has been closed.
    Close {
        /// Its key.
        key: String,
    },
    /// It leaves by its own will, and closes the channel once this is confirmed.
    Leaving {
        /// The message's number, which the confirmation carries.
        seq: u64,
    },
    /// The answer to a connection.
    Reply {
        /// The number of the message that it answers.
        ack: u64,
        /// Whether it has taken the connection.
        accepted: bool,
    },
    /// A message with a descriptor, which must be acknowledged, wanted or not: the worker sends
    /// nothing more until then.
    Handle(Wrapped),
    /// Our last unanswered descriptor has arrived.
    HandleAck,
    /// Our last unanswered descriptor has not arrived, and its message was dropped.
    HandleNack,
    /// An internal message that means nothing to a primary.
    Ignored,
    /// The application's own.
    User(UserMessage),
}

/// What came with a descriptor. A primary has no use for any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapped {
    /// The application's own message.
    User(UserMessage),
    /// An internal one, or none.
    Internal,
}

/// The fields by which internal messages differ.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    cmd: Scalar<'a>,
    #[serde(borrow, default)]
    act: Scalar<'a>,
    #[serde(borrow, default)]
    seq: Scalar<'a>,
    #[serde(borrow, default)]
    ack: Scalar<'a>,
    #[serde(borrow, default)]
    accepted: Scalar<'a>,
    #[serde(borrow, default)]
    key: Scalar<'a>,
}

#[derive(Deserialize)]
struct Wrapper<'a> {
    #[serde(borrow, default)]
    msg: Option<&'a RawValue>,
}

impl Incoming {
    /// Reads one line that carried Bun's mark: internal, and of the cluster unless it says otherwise.
    pub(super) fn read_marked(line: &[u8]) -> Result<Self, Fault> {
        let head: Head<'_> = serde_json::from_slice(line).map_err(|_| Fault::Malformed)?;
        if head.cmd == Scalar::Null { head.cluster(line) } else { Self::read(line) }
    }

    /// Reads one line, without its newline.
    pub(super) fn read(line: &[u8]) -> Result<Self, Fault> {
        // The commonest message, once for each connection.
        if line == br#"{"cmd":"NODE_HANDLE_ACK"}"# {
            return Ok(Self::HandleAck);
        }
        if line.first() != Some(&b'{') {
            return UserMessage::read(line).map(Self::User);
        }
        let head: Head<'_> = serde_json::from_slice(line).map_err(|_| Fault::Malformed)?;
        match head.cmd.text() {
            Some("NODE_CLUSTER") => head.cluster(line),
            Some("NODE_HANDLE") => Self::handle(line),
            Some("NODE_HANDLE_ACK") => Ok(Self::HandleAck),
            Some("NODE_HANDLE_NACK") => Ok(Self::HandleNack),
            Some(cmd) if is_internal(cmd) => Ok(Self::Ignored),
            _ => UserMessage::read(line).map(Self::User),
        }
    }

    fn handle(line: &[u8]) -> Result<Self, Fault> {
        let wrapper: Wrapper<'_> = serde_json::from_slice(line).map_err(|_| Fault::Malformed)?;
        let inside = wrapper.msg.map_or(Ok(Wrapped::Internal), |msg| Wrapped::read(msg.get()));
        inside.map(Self::Handle)
    }
}

impl Wrapped {
    /// A wrapper in a wrapper is nobody's message: reading goes one level down and no further.
    fn read(text: &str) -> Result<Self, Fault> {
        if text.starts_with('{') {
            let head: Head<'_> = serde_json::from_str(text).map_err(|_| Fault::Malformed)?;
            if head.cmd.text().is_some_and(is_internal) {
                return Ok(Self::Internal);
            }
        }
        UserMessage::read(text.as_bytes()).map(Self::User)
    }
}

impl Head<'_> {
    fn cluster(&self, line: &[u8]) -> Result<Incoming, Fault> {
        if self.ack != Scalar::Null {
            let ack = self.ack.number().ok_or(Fault::Malformed)?;
            return Ok(Incoming::Reply { ack, accepted: self.accepted == Scalar::Bool(true) });
        }
        Ok(match self.act.text() {
            Some("online") => Incoming::Online,
            Some("queryServer") => {
                let seq = self.seq()?;
                let refusal = Incoming::BadQuery { seq, errno: EINVAL };
                Self::query(line, seq).map_or(refusal, Incoming::Query)
            }
            // Nobody answers it: Bun gives it no number, and says it of servers on paths without the path.
            Some("listening") => {
                let seq = self.seq.number().unwrap_or_default();
                Self::query(line, seq).map_or(Incoming::Ignored, Incoming::Listening)
            }
            Some("close") => {
                Incoming::Close { key: self.key.bounded(TEXT_LIMIT).ok_or(Fault::Malformed)? }
            }
            Some("exitedAfterDisconnect") => Incoming::Leaving { seq: self.seq()? },
            _ => Incoming::Ignored,
        })
    }

    fn query(line: &[u8], seq: u64) -> Result<Query, Fault> {
        let fields: Fields<'_> = serde_json::from_slice(line).map_err(|_| Fault::Malformed)?;
        fields.query(seq)
    }

    fn seq(&self) -> Result<u64, Fault> {
        self.seq.number().ok_or(Fault::Malformed)
    }
}

/// Node's rule for what never reaches the application.
fn is_internal(cmd: &str) -> bool {
    cmd.len() > 5 && cmd.starts_with("NODE_")
}
