//! What a primary says to a worker.

use alloc::{format, string::String, vec::Vec};

use super::{BUN_MARK, Dialect};

/// The real address of a listening TCP socket, for the worker's `server.address()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SockName {
    /// An address literal.
    pub address: String,
    /// The port.
    pub port: u16,
    /// Whether the address is of IPv6.
    pub v6: bool,
}

/// One message. Those that carry a descriptor need a `sendmsg` of their own, with just that one
/// descriptor on the first byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing<'a> {
    /// Yes to a server: connections will be handed out one by one.
    Serve {
        /// The query's number.
        ack: u64,
        /// The server's key.
        key: &'a str,
        /// What the first worker of the key gave as JSON text.
        data: Option<&'a str>,
        /// The address; nothing for a Unix socket.
        name: Option<&'a SockName>,
    },
    /// Yes to a server, with the listening socket itself; carries a descriptor.
    Share {
        /// The query's number.
        ack: u64,
        /// The server's key.
        key: &'a str,
        /// What the first worker of the key gave as JSON text.
        data: Option<&'a str>,
        /// Whether the socket is of UDP.
        udp: bool,
    },
    /// No to a server.
    Refuse {
        /// The query's number.
        ack: u64,
        /// The server's key; may be empty.
        key: &'a str,
        /// Why: libuv's number, negative.
        errno: i32,
    },
    /// A connection; carries a descriptor.
    Connection {
        /// The number that the worker's reply will carry.
        seq: u64,
        /// The key of the server that it is for.
        key: &'a str,
    },
    /// Close all servers, then the channel.
    Disconnect {
        /// A number like any other's.
        seq: u64,
    },
    /// The worker may leave.
    Confirm {
        /// The number of the worker's message.
        ack: u64,
    },
    /// The worker's descriptor has arrived.
    HandleAck,
    /// The worker's descriptor has not arrived.
    HandleNack,
    /// A message for the application: one JSON text without a newline.
    User(&'a str),
}

impl Outgoing<'_> {
    /// Whether a descriptor must go with the first byte.
    #[must_use]
    pub const fn carries_descriptor(&self) -> bool {
        matches!(self, Self::Share { .. } | Self::Connection { .. })
    }

    /// The message as a line for the channel.
    #[must_use]
    pub fn encode(&self, dialect: Dialect) -> Vec<u8> {
        let mut line = Vec::new();
        if dialect == Dialect::Bun && !matches!(self, Self::User(_)) {
            line.push(BUN_MARK);
        }
        line.extend(self.text().as_bytes());
        line.push(b'\n');
        line
    }

    fn text(&self) -> String {
        match self {
            Self::Serve { ack, key, data, name } => {
                let name = name.map_or_else(String::new, |name| {
                    let SockName { address, port, v6 } = name;
                    let family = if *v6 { 6 } else { 4 };
                    format!(
                        r#","sockname":{{"address":{},"family":"IPv{family}","port":{port}}}"#,
                        quoted(address)
                    )
                });
                reply(*ack, key, "null", *data, &name)
            }
            Self::Share { ack, key, data, udp } => {
                let kind = if *udp { "dgram.Native" } else { "net.Native" };
                wrapped(kind, &reply(*ack, key, "0", *data, ""))
            }
            Self::Refuse { ack, key, errno } => reply(*ack, key, &format!("{errno}"), None, ""),
            Self::Connection { seq, key } => wrapped(
                "net.Native",
                &format!(
                    r#"{{"cmd":"NODE_CLUSTER","act":"newconn","key":{},"seq":{seq}}}"#,
                    quoted(key)
                ),
            ),
            Self::Disconnect { seq } => {
                format!(r#"{{"cmd":"NODE_CLUSTER","act":"disconnect","seq":{seq}}}"#)
            }
            Self::Confirm { ack } => format!(r#"{{"cmd":"NODE_CLUSTER","ack":{ack}}}"#),
            Self::HandleAck => r#"{"cmd":"NODE_HANDLE_ACK"}"#.into(),
            Self::HandleNack => r#"{"cmd":"NODE_HANDLE_NACK"}"#.into(),
            Self::User(text) => (*text).into(),
        }
    }
}

fn reply(ack: u64, key: &str, errno: &str, data: Option<&str>, rest: &str) -> String {
    format!(
        r#"{{"cmd":"NODE_CLUSTER","errno":{errno},"key":{},"ack":{ack},"data":{}{rest}}}"#,
        quoted(key),
        data.unwrap_or("null")
    )
}

fn wrapped(kind: &str, message: &str) -> String {
    format!(r#"{{"cmd":"NODE_HANDLE","type":"{kind}","msg":{message}}}"#)
}

/// A JSON string. Writing one to memory does not fail.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
