//! The variable in which `Server::Starter` tells a worker its sockets: `SERVER_STARTER_PORT`.
//!
//! `host:port=fd` or `/path=fd`, separated by semicolons. Every reader takes what it finds there
//! for a listening stream socket.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::listen::{Kind, Passed};

/// The variable's text. UDP is left out, and an address with `;` or `=`, where readers split.
#[must_use]
pub fn port(sockets: &[Passed]) -> String {
    let entries: Vec<String> = sockets
        .iter()
        .filter(|socket| socket.kind != Kind::Udp && !socket.address.contains([';', '=']))
        .map(|socket| format!("{}={}", socket.address, socket.fd))
        .collect();
    entries.join(";")
}

/// Reads such a text back: address and descriptor of each socket, or nothing if any is malformed.
#[must_use]
pub fn parse(text: &str) -> Option<Vec<(String, i32)>> {
    text.split(';')
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            let (address, fd) = entry.rsplit_once('=')?;
            let fd = fd.parse().ok().filter(|&fd: &i32| fd >= 0)?;
            (!address.is_empty()).then(|| (address.to_string(), fd))
        })
        .collect()
}
