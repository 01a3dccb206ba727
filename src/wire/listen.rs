//! How a worker learns which descriptors are its listeners, in every dialect at once, so that the
//! libraries that exist work unmodified.
//!
//! The text here is complete but for `LISTEN_PID` and `LISTEN_PIDFDID`: those name the worker's own
//! process, so only the child itself can add them, between fork and exec.

mod expand;
mod stale;

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

pub use expand::{ExpandError, expand};
pub use stale::{STALE, Stale, stale};

use super::{notify::is_fd_name, server_starter};

/// What kind of socket a listener is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A TCP socket that listens.
    Tcp,
    /// A bound UDP socket.
    Udp,
    /// A Unix stream socket that listens.
    Unix,
}

/// One listener as a worker gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Its name in LISTEN.
    pub name: String,
    /// Its number in the worker.
    pub fd: i32,
    /// What it is.
    pub kind: Kind,
    /// Where it is bound: `127.0.0.1:80`, `[::]:80`, `/run/app.sock`, `@abstract`.
    pub address: String,
}

/// What some dialects want to know beside the sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The generation, for `SERVER_STARTER_GENERATION`.
    pub generation: u64,
    /// The master's pid as the worker sees its parent: einhorn's libraries ignore all else unless
    /// `EINHORN_MASTER_PID` is their parent's, so without it no `EINHORN_*` is set.
    pub master_pid: Option<u32>,
    /// The path of the socket on which einhorn acknowledgements are taken.
    pub einhorn_socket: Option<String>,
    /// Whether to set `UNICORN_FD`: only where `LISTEN_PID` is not. unicorn has read both since 5.0;
    /// given both, it lists each socket twice, and its stop fails with EBADF before its workers are
    /// done (seen with 6.0).
    pub unicorn: bool,
}

/// The variables of every dialect, sorted as they are listed in the documentation. Nothing when
/// there is no listener, but for einhorn's socket: a worker without listeners may still use it to
/// say that it is ready.
#[must_use]
pub fn environment(sockets: &[Passed], options: &Options) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    let mut set = |name: &str, value: String| variables.push((name.to_string(), value));
    if !sockets.is_empty() {
        set("LISTEN_FDS", sockets.len().to_string());
        set("LISTEN_FDNAMES", names(sockets));
        set("NGINX", nginx(sockets));
        set("UNICORN_FD", unicorn(sockets, options));
        set("FPM_SOCKETS", php_fpm(sockets));
        set("SERVER_STARTER_PORT", server_starter::port(sockets));
        set("SERVER_STARTER_GENERATION", options.generation.to_string());
    }
    einhorn(sockets, options, &mut set);
    variables.retain(|(_, value)| !value.is_empty());
    variables
}

/// systemd: one name a socket, joined by colons. A name that would break the list is replaced, so
/// that the others keep their places.
fn names(sockets: &[Passed]) -> String {
    let names: Vec<&str> = sockets
        .iter()
        .map(|socket| if is_fd_name(&socket.name) { &*socket.name } else { "unknown" })
        .collect();
    names.join(":")
}

fn streams(sockets: &[Passed]) -> impl Iterator<Item = &Passed> {
    sockets.iter().filter(|socket| socket.kind != Kind::Udp)
}

fn numbers<'a>(sockets: impl Iterator<Item = &'a Passed>, separator: &str) -> String {
    let numbers: Vec<String> = sockets.map(|socket| socket.fd.to_string()).collect();
    numbers.join(separator)
}

/// nginx reads a number at each semicolon, the last one included, and finds out address and kind by
/// itself. Seen with 1.22: it stays in the foreground whatever `daemon` says, leaves its parent
/// alone, and keeps the file of an inherited Unix socket when it stops; but it closes what its
/// configuration does not mention, and removes such a Unix socket's file.
fn nginx(sockets: &[Passed]) -> String {
    format!("{};", numbers(sockets.iter(), ";"))
}

fn unicorn(sockets: &[Passed], options: &Options) -> String {
    if options.unicorn { numbers(streams(sockets), ",") } else { String::new() }
}

/// php-fpm compares with the text of its `listen` settings, cuts at commas and equals signs, and
/// knows neither UDP nor abstract sockets. Seen with 8.2: it removes the file of every Unix socket
/// it was given, at once when no pool uses it, else when it stops.
fn php_fpm(sockets: &[Passed]) -> String {
    let entries: Vec<String> = streams(sockets)
        .filter(|socket| !socket.address.contains([',', '=', '@']))
        .map(|socket| format!("{}={}", socket.address, socket.fd))
        .collect();
    entries.join(",")
}

fn einhorn(sockets: &[Passed], options: &Options, set: &mut impl FnMut(&str, String)) {
    let Some(master) = options.master_pid else { return };
    set("EINHORN_MASTER_PID", master.to_string());
    set("EINHORN_SOCK_PATH", options.einhorn_socket.clone().unwrap_or_default());
    set("EINHORN_FD_COUNT", sockets.len().to_string());
    // Ruby's libraries before 0.3 read this instead of the count.
    set("EINHORN_FDS", numbers(sockets.iter(), " "));
    for (index, socket) in sockets.iter().enumerate() {
        set(&format!("EINHORN_FD_{index}"), socket.fd.to_string());
        set(&format!("EINHORN_FD_FAMILY_{index}"), family(socket).to_string());
    }
}

/// A constant of Python's `socket` module, by name.
fn family(socket: &Passed) -> &'static str {
    match socket.kind {
        Kind::Unix => "AF_UNIX",
        Kind::Tcp | Kind::Udp if socket.address.starts_with('[') => "AF_INET6",
        Kind::Tcp | Kind::Udp => "AF_INET",
    }
}
