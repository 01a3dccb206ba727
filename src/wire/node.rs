//! Node's cluster protocol as its primary speaks it: one JSON text a line on a worker's channel.
//!
//! [`Inbox`] turns bytes into [`Incoming`] messages, [`Outgoing`] turns messages into bytes,
//! [`Wrappers`] remembers what has been sent with a descriptor and not been answered yet. The
//! protocol is Node's own and undocumented, but the same on the wire from Node 8 to 26. A worker is
//! not trusted: whatever it sends costs bounded memory, and at most its own channel.

mod inbox;
mod incoming;
mod json;
mod outgoing;
pub mod primary;
mod query;
mod user;
mod wrappers;

pub use inbox::{Fault, Inbox};
pub use incoming::{Incoming, Wrapped};
pub use outgoing::{Outgoing, SockName};
pub use query::{Query, Target};
pub use user::UserMessage;
pub use wrappers::{Answer, Wrappers};

/// The longest line that is read: an application may send itself large messages, but a primary
/// that keeps more of them unread than this serves nobody.
pub const LINE_LIMIT: usize = 1 << 20;
/// The longest address, path or key that is taken from a worker: paths end at 108 bytes, names at 253.
pub const TEXT_LIMIT: usize = 1024;
/// The longest `data` of a server: TLS ticket keys have 96 bytes as text.
pub const DATA_LIMIT: usize = 16 << 10;
/// How many malformed lines a worker may send before it is given up: Node never sends one.
pub const MALFORMED_LIMIT: u16 = 100;
/// How many servers a worker may have.
pub const KEY_LIMIT: usize = 256;
/// Listeners that no worker has any more and that are kept for its successor.
pub const UNUSED_LIMIT: usize = 64;
/// How many descriptors a worker may have sent that no message has claimed yet.
pub const UNCLAIMED_LIMIT: usize = 16;

/// How a runtime frames its messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Node and Deno: the JSON text alone.
    #[default]
    Node,
    /// Bun: internal messages carry a byte 0x02 in front, in both directions.
    Bun,
}

/// The byte by which Bun tells its internal messages from the application's.
const BUN_MARK: u8 = 2;
