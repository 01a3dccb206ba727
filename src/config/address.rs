//! Addresses: where a socket listens, from text that names no host.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;

use super::units;

/// The kernel's `sun_path` holds 108 bytes with the NUL that ends it (unix(7)).
const LONGEST_PATH: usize = 107;

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A TCP port.
    Tcp(Inet),
    /// A UDP port.
    Udp(Inet),
    /// A Unix stream socket with a file; absolute.
    Unix(PathBuf),
    /// A Unix stream socket in the network namespace, without the leading NUL.
    Abstract(Vec<u8>),
}

/// An Internet address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inet {
    /// The address to bind.
    pub(crate) address: SocketAddr,
    /// Written `:PORT`: both families, and only IPv4 where the kernel has no IPv6.
    pub(crate) dual_stack: bool,
}

/// An address of any kind, with or without its scheme.
pub(crate) fn address(text: &str) -> Result<Address, String> {
    if let Some((scheme, rest)) = text.split_once("://") {
        return match scheme {
            "tcp" => inet(rest).map(Address::Tcp),
            "udp" => inet(rest).map(Address::Udp),
            "unix" => unix(rest),
            _ => Err(format!("{scheme}:// is not a kind of socket (tcp://, udp://, unix:)")),
        };
    }
    if let Some(rest) = text.strip_prefix("unix:") {
        return unix(rest);
    }
    if text.starts_with(['/', '@']) {
        return unix(text);
    }
    inet(text).map(Address::Tcp)
}

/// `/PATH`, or `@NAME` for a socket without a file.
fn unix(text: &str) -> Result<Address, String> {
    let name = text.strip_prefix('@');
    if name.unwrap_or(text).len() > LONGEST_PATH {
        return Err(format!("is longer than the {LONGEST_PATH} bytes of a Unix socket's path"));
    }
    match name {
        _ if text.contains('\0') => Err("holds a NUL".to_owned()),
        Some("") => Err("names no socket".to_owned()),
        Some(name) => Ok(Address::Abstract(name.as_bytes().to_vec())),
        None if text.ends_with('/') => Err(format!("{text:?} is a directory")),
        None if text.starts_with('/') => Ok(Address::Unix(PathBuf::from(text))),
        None => Err(format!("{text:?} is not an absolute path")),
    }
}

/// `PORT`, `:PORT`, `*:PORT`, `V4:PORT`, `[V6]:PORT` or `[V6%ZONE]:PORT`.
pub(crate) fn inet(text: &str) -> Result<Inet, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let Ok(port) = units::number::<u16>(port) else {
        return Err(no_port(text, port));
    };
    match host {
        "" | "*" => {
            let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            Ok(Inet { address: SocketAddr::new(any, port), dual_stack: true })
        }
        _ => Ok(Inet { address: literal(host, port)?, dual_stack: false }),
    }
}

/// Why a text does not end in a port.
fn no_port(text: &str, port: &str) -> String {
    if text.is_empty() {
        "is empty".to_owned()
    } else if !port.is_empty() && port.chars().all(|letter| letter.is_ascii_digit()) {
        format!("{port} is not a port, 0 to 65535")
    } else {
        format!("{text:?} has no port, as in {text:.40}:8000")
    }
}

/// A host that is written out in numbers, since looking up names needs what a static binary lacks.
fn literal(host: &str, port: u16) -> Result<SocketAddr, String> {
    let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return match host.parse() {
            Ok(IpAddr::V4(address)) => Ok(SocketAddr::new(address.into(), port)),
            Ok(IpAddr::V6(_)) => Err(format!("write an IPv6 address in brackets: [{host}]:{port}")),
            Err(_) => Err(format!("{host:?} is a host name or malformed: literal addresses only")),
        };
    };
    let (plain, zone) = match inner.split_once('%') {
        None => (inner, 0),
        Some((plain, zone)) => match units::number::<u32>(zone) {
            Ok(zone) => (plain, zone),
            Err(_) => return Err(format!("zone {zone:?} is not a number, as in [fe80::1%2]")),
        },
    };
    match plain.parse::<Ipv6Addr>() {
        Ok(address) => Ok(SocketAddr::V6(SocketAddrV6::new(address, port, 0, zone))),
        Err(_) => Err(format!("{host:?} is not an IPv6 address: literal addresses only")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, address, inet};
    use proptest::prelude::{any, proptest};

    fn shown(text: &str) -> String {
        match address(text).unwrap_or_else(|problem| panic!("{text}: {problem}")) {
            Address::Tcp(inet) => format!("tcp {} {}", inet.address, inet.dual_stack),
            Address::Udp(inet) => format!("udp {} {}", inet.address, inet.dual_stack),
            Address::Unix(path) => format!("unix {}", path.display()),
            Address::Abstract(name) => format!("abstract {}", String::from_utf8_lossy(&name)),
        }
    }

    #[test]
    fn every_form_of_an_address_is_understood() {
        for (text, meaning) in [
            ("tcp://0.0.0.0:8000", "tcp 0.0.0.0:8000 false"),
            (":8000", "tcp [::]:8000 true"),
            ("*:8000", "tcp [::]:8000 true"),
            ("8000", "tcp [::]:8000 true"),
            ("[::]:8080", "tcp [::]:8080 false"),
            ("127.0.0.1:0", "tcp 127.0.0.1:0 false"),
            ("tcp://[fe80::1%2]:80", "tcp [fe80::1%2]:80 false"),
            ("[::ffff:1.2.3.4]:80", "tcp [::ffff:1.2.3.4]:80 false"),
            ("udp://:53", "udp [::]:53 true"),
            ("udp://[::1]:53", "udp [::1]:53 false"),
            ("unix:/run/app.sock", "unix /run/app.sock"),
            ("unix:///run/app.sock", "unix /run/app.sock"),
            ("/run/app.sock", "unix /run/app.sock"),
            ("unix:@abstract", "abstract abstract"),
            ("@abstract", "abstract abstract"),
        ] {
            assert_eq!(shown(text), meaning, "{text}");
        }
    }

    #[test]
    fn what_is_no_literal_address_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "is empty"),
            ("localhost:80", "literal addresses only"),
            ("tcp://example.org:80", "literal addresses only"),
            ("[::g]:80", "literal addresses only"),
            ("1.2.3:80", "literal addresses only"),
            ("01.2.3.4:80", "literal addresses only"),
            ("::1:80", "write an IPv6 address in brackets"),
            ("[fe80::1%eth0]:80", "zone \"eth0\" is not a number"),
            ("0.0.0.0", "has no port"),
            ("0.0.0.0:", "has no port"),
            ("[::]", "has no port"),
            (":65536", "is not a port"),
            (":-1", "has no port"),
            ("http://:80", "is not a kind of socket"),
            ("unix:run/app.sock", "is not an absolute path"),
            ("unix:/run/", "is a directory"),
            ("unix:", "is not an absolute path"),
            ("unix:@", "names no socket"),
            ("unix:/a\0b", "holds a NUL"),
        ] {
            let problem = address(text).expect_err(text);
            assert!(problem.contains(reason), "{text}: {problem}");
        }
        assert!(address(&format!("/{}", "a".repeat(106))).is_ok());
        assert!(address(&format!("/{}", "a".repeat(107))).is_err());
    }

    proptest! {
        #[test]
        fn no_text_upsets_an_address(text in any::<String>()) {
            let _ = (address(&text), inet(&text));
        }
    }
}
