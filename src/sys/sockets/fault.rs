//! Why a listener could not be opened, in words that say what to do about it.

use std::{error, fmt, net::SocketAddr};

use rustix::io::Errno as Code;

use super::{Address, Errno};

/// Why a socket could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SocketError {
    /// The address asked for.
    pub(crate) address: Address,
    /// What is wrong with it.
    pub(crate) fault: Fault,
}

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Another socket has it.
    InUse,
    /// The port is below `net.ipv4.ip_unprivileged_port_start`, and we have no `CAP_NET_BIND_SERVICE`.
    Privileged,
    /// No interface has the address.
    NoSuchAddress,
    /// The kernel does not know the address family.
    NoSuchFamily,
    /// Something else than a socket has the path.
    NotASocket,
    /// The path has no last part, such as `/` or the empty path.
    NoName,
    /// The directory does not exist.
    NoDirectory,
    /// We may not write in the directory, or not connect to the socket that is there.
    Denied,
    /// The name is longer than a socket address holds.
    TooLong,
    /// The owner or the permissions can't be set.
    Owner(Errno),
    /// Anything else.
    Other(Errno),
}

impl Fault {
    /// What an error means for a port.
    pub(super) fn of_port(code: Code) -> Self {
        match code {
            Code::ADDRINUSE => Self::InUse,
            Code::ACCESS => Self::Privileged,
            Code::ADDRNOTAVAIL => Self::NoSuchAddress,
            Code::AFNOSUPPORT => Self::NoSuchFamily,
            other => Self::Other(other.into()),
        }
    }
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(at) => self.fmt_port(f, "port", *at),
            Address::Udp(at) => self.fmt_port(f, "udp port", *at),
            Address::Unix(_) | Address::Abstract(_) => self.fmt_name(f),
        }
    }
}

impl SocketError {
    fn fmt_port(&self, f: &mut fmt::Formatter<'_>, kind: &str, at: SocketAddr) -> fmt::Result {
        let (ip, port) = (at.ip(), at.port());
        write!(f, "{kind} {port} on {ip} ")?;
        match self.fault {
            Fault::InUse => {
                write!(f, "is in use: stop the program that has it, or take another port")
            }
            Fault::Privileged => write!(
                f,
                "needs CAP_NET_BIND_SERVICE or net.ipv4.ip_unprivileged_port_start={port}: or take a port from 1024 up"
            ),
            Fault::NoSuchAddress => {
                write!(
                    f,
                    "can't be opened: no interface has this address; 0.0.0.0 and [::] mean all of them"
                )
            }
            Fault::NoSuchFamily => {
                write!(f, "can't be opened: the kernel has no IPv6; take 0.0.0.0")
            }
            other => write!(f, "can't be opened: {}", other.errno()),
        }
    }

    fn fmt_name(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.address)?;
        match self.fault {
            Fault::InUse => write!(f, "is in use: somebody answers on it"),
            Fault::NotASocket => write!(
                f,
                "exists and is no socket: it is left alone; move it, or take another path"
            ),
            Fault::NoName => write!(f, "has no file name"),
            Fault::NoDirectory => write!(f, "can't be opened: its directory does not exist"),
            Fault::Denied => {
                write!(f, "can't be opened: permission denied for our user on it or its directory")
            }
            Fault::TooLong => write!(f, "is too long: a socket address holds 107 bytes"),
            Fault::Owner(errno) => write!(f, "can't get the owner and mode asked for: {errno}"),
            other => write!(f, "can't be opened: {}", other.errno()),
        }
    }
}

impl Fault {
    /// The errno that it came from, or that says it best.
    pub(crate) fn errno(self) -> Errno {
        let code = match self {
            Self::InUse => Code::ADDRINUSE,
            Self::Privileged | Self::Denied => Code::ACCESS,
            Self::NoSuchAddress => Code::ADDRNOTAVAIL,
            Self::NoSuchFamily => Code::AFNOSUPPORT,
            Self::NotASocket => Code::EXIST,
            Self::NoName | Self::NoDirectory => Code::NOENT,
            Self::TooLong => Code::NAMETOOLONG,
            Self::Owner(errno) | Self::Other(errno) => return errno,
        };
        code.into()
    }
}

impl error::Error for SocketError {}
