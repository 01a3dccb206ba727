//! What a worker says about one of its servers: in `queryServer`, and again in `listening`.

use alloc::{
    format,
    string::{String, ToString},
};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{DATA_LIMIT, Fault, TEXT_LIMIT, json::Scalar};

/// Where a server wants to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// A TCP port; 0 for any.
    Tcp {
        /// An address literal; nothing for every address (`::` and IPv4 with it, else `0.0.0.0`).
        host: Option<String>,
        /// The port.
        port: u16,
        /// Whether the address is of IPv6.
        v6: bool,
        /// Whether an IPv6 socket shall take no IPv4 connections.
        v6only: bool,
    },
    /// A Unix stream socket.
    Path {
        /// The path, absolute.
        path: String,
        /// Whether everybody may read it.
        readable_all: bool,
        /// Whether everybody may write to it.
        writable_all: bool,
    },
    /// A UDP port; 0 for any. Always shared.
    Udp {
        /// An address literal; nothing for every address.
        host: Option<String>,
        /// The port.
        port: u16,
        /// Whether the socket is of IPv6.
        v6: bool,
        /// libuv's flags: 1 IPv6 only, 4 `SO_REUSEADDR`, 8 `SO_REUSEPORT`.
        flags: u32,
    },
    /// A descriptor of the primary's own, by number: only what an allow-list names may be given.
    Fd(i32),
}

/// One server of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The message's number, which the reply carries.
    pub seq: u64,
    /// Tells servers apart that ask for the same place: the first is 0.
    pub index: u64,
    /// Where it wants to listen; in `listening`, where it does, with the real port.
    pub target: Target,
    /// The length of the accept queue; nothing where the worker leaves it to us.
    pub backlog: Option<u32>,
    /// JSON text that every worker of the key gets back (TLS ticket keys); nothing for null.
    pub data: Option<String>,
}

/// The fields as they stand in the message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fields<'a> {
    #[serde(borrow, default)]
    index: Scalar<'a>,
    #[serde(borrow, default)]
    address: Scalar<'a>,
    #[serde(borrow, default)]
    port: Scalar<'a>,
    #[serde(borrow, default)]
    address_type: Scalar<'a>,
    #[serde(borrow, default)]
    fd: Scalar<'a>,
    #[serde(borrow, default)]
    flags: Scalar<'a>,
    #[serde(borrow, default)]
    backlog: Scalar<'a>,
    #[serde(borrow, default)]
    readable_all: Scalar<'a>,
    #[serde(borrow, default)]
    writable_all: Scalar<'a>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

impl Fields<'_> {
    /// The server, or a fault when the fields make no sense together.
    pub(super) fn query(&self, seq: u64) -> Result<Query, Fault> {
        let data = self.data.map(RawValue::get).filter(|text| *text != "null");
        if data.is_some_and(|text| text.len() > DATA_LIMIT) {
            return Err(Fault::Malformed);
        }
        Ok(Query {
            seq,
            index: self.index.number().unwrap_or(0),
            target: self.target()?,
            backlog: self.backlog.number().filter(|&length: &u32| length > 0),
            data: data.map(ToString::to_string),
        })
    }

    fn target(&self) -> Result<Target, Fault> {
        let flags: u32 = optional(&self.flags)?;
        if let Some(fd) = self.fd.number().filter(|&fd: &i32| fd >= 0) {
            return Ok(Target::Fd(fd));
        }
        let (host, port, v6) = match &self.address_type {
            Scalar::Int(-1) => return self.path(),
            Scalar::Int(version @ (4 | 6)) => {
                // Required: Bun leaves it out when it means a path.
                let port = self.port.number().ok_or(Fault::Malformed)?;
                (self.host()?, port, *version == 6)
            }
            Scalar::Text(kind) if *kind == "udp4" || *kind == "udp6" => {
                let (host, port) = (self.host()?, optional(&self.port)?);
                return Ok(Target::Udp { host, port, v6: *kind == "udp6", flags });
            }
            _ => return Err(Fault::Malformed),
        };
        Ok(Target::Tcp { host, port, v6, v6only: flags & 1 == 1 })
    }

    fn path(&self) -> Result<Target, Fault> {
        let path = self.address.bounded(TEXT_LIMIT).filter(|path| !path.is_empty());
        Ok(Target::Path {
            path: path.ok_or(Fault::Malformed)?,
            readable_all: self.readable_all == Scalar::Bool(true),
            writable_all: self.writable_all == Scalar::Bool(true),
        })
    }

    fn host(&self) -> Result<Option<String>, Fault> {
        match &self.address {
            Scalar::Null => Ok(None),
            Scalar::Text(text) if text.is_empty() => Ok(None),
            address => address.bounded(TEXT_LIMIT).map(Some).ok_or(Fault::Malformed),
        }
    }
}

/// A number that may be left out.
fn optional<N: TryFrom<i64> + Default>(value: &Scalar<'_>) -> Result<N, Fault> {
    if *value == Scalar::Null {
        return Ok(N::default());
    }
    value.number().ok_or(Fault::Malformed)
}

impl Query {
    /// The name under which workers share a server: Node's own recipe, which tells two servers on
    /// "any port" apart by their index.
    #[must_use]
    pub fn key(&self) -> String {
        let host = |host: &Option<String>| host.clone().unwrap_or_else(|| "null".to_string());
        let version = |v6: &bool| if *v6 { 6 } else { 4 };
        let (place, port) = match &self.target {
            Target::Fd(fd) => return format!("null:null:null:{fd}"),
            Target::Path { path, .. } => return format!("{path}:-1:-1:"),
            Target::Tcp { host: name, port, v6, .. } => {
                (format!("{}:{port}:{}:", host(name), version(v6)), port)
            }
            Target::Udp { host: name, port, v6, .. } => {
                (format!("{}:{port}:udp{}:", host(name), version(v6)), port)
            }
        };
        if *port == 0 { format!("{place}:{}", self.index) } else { place }
    }

    /// Whether `listening` speaks of the server that this query asked for: the same place, though
    /// "any port" has become a real one.
    #[must_use]
    pub fn is_answered_by(&self, listening: &Self) -> bool {
        let mut target = listening.target.clone();
        if let (
            Target::Tcp { port: 0, .. } | Target::Udp { port: 0, .. },
            Target::Tcp { port, .. } | Target::Udp { port, .. },
        ) = (&self.target, &mut target)
        {
            *port = 0;
        }
        self.index == listening.index && self.target == target
    }
}
