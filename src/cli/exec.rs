//! `dutch-master exec`: becomes a command that finds its passed sockets again.
//!
//! Libraries believe in `LISTEN_FDS` only if `LISTEN_PID` is their own pid, so a start script that
//! runs its server as a child takes the sockets away from it. This verb, put before the server in
//! the script, says anew whose the sockets are.

use std::{
    ffi::OsString,
    io,
    os::unix::{ffi::OsStrExt, ffi::OsStringExt, process::CommandExt},
    process::Command,
};

use dutch_master::wire::listen::{self, Kind, Passed};

/// The first passed descriptor (`sd_listen_fds(3)`).
const FIRST_FD: i32 = 3;

/// Becomes the command. Comes back only if that can't be: with an exit code and the reason.
pub(crate) fn become_command(
    command: &[OsString],
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> (u8, String) {
    let sockets = sockets(variables);
    let mut words = Vec::new();
    for word in command {
        match listen::expand(word.as_bytes(), &sockets) {
            Ok(word) => words.push(OsString::from_vec(word)),
            Err(error) => return (64, error.to_string()),
        }
    }
    let Some((program, arguments)) = words.split_first() else {
        return (64, "exec needs a command".to_owned());
    };
    let mut command = Command::new(program);
    command.args(arguments).env_remove("LISTEN_PIDFDID");
    if !sockets.is_empty() {
        command.env("LISTEN_PID", std::process::id().to_string());
    }
    let error = command.exec();
    let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    (code, format!("{}: {error}", program.display()))
}

/// The sockets that we were passed, as far as the environment names them.
fn sockets(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<Passed> {
    let (mut count, mut names) = (0_i32, String::new());
    for (name, value) in variables {
        match (name.as_os_str().to_str(), value.to_str()) {
            (Some("LISTEN_FDS"), Some(text)) => count = text.parse().unwrap_or(0),
            (Some("LISTEN_FDNAMES"), Some(text)) => text.clone_into(&mut names),
            _ => {}
        }
    }
    let names = names.split(':').chain(std::iter::repeat("unknown"));
    (0..count.clamp(0, 1024))
        .zip(names)
        .map(|(index, name)| Passed {
            name: name.to_owned(),
            fd: FIRST_FD.saturating_add(index),
            kind: Kind::Tcp,
            address: String::new(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn passed_sockets_are_found_by_name() {
        let of = sockets(
            variables(&[("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "http:admin")]).into_iter(),
        );
        assert_eq!(
            of.iter().map(|each| (each.name.as_str(), each.fd)).collect::<Vec<_>>(),
            [("http", 3), ("admin", 4)]
        );
        assert!(sockets(variables(&[("LISTEN_FDS", "-7")]).into_iter()).is_empty());
    }
}
