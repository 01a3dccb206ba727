//! Resolves users and groups by the files of the image: a static binary has no NSS.

use std::fmt;

use cap_std::fs::Dir;

/// Whom a worker runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// User.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Supplementary groups.
    pub(crate) groups: Vec<u32>,
}

/// Why a name could not be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UserError {
    /// No such user in etc/passwd.
    UnknownUser(String),
    /// No such group in etc/group.
    UnknownGroup(String),
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownUser(name) => write!(f, "no user {name} in /etc/passwd"),
            Self::UnknownGroup(name) => write!(f, "no group {name} in /etc/group"),
        }
    }
}

/// Resolves a user and perhaps a group, names or numbers, below a directory handle of `/`.
pub(crate) fn resolve(
    _root: &Dir,
    user: &str,
    _group: Option<&str>,
) -> Result<Credentials, UserError> {
    Err(UserError::UnknownUser(user.into()))
}

/// Resolves one user, name or number, to its id.
pub(crate) fn user(_root: &Dir, user: &str) -> Result<u32, UserError> {
    Err(UserError::UnknownUser(user.into()))
}

/// Resolves one group, name or number, to its id.
pub(crate) fn group(_root: &Dir, group: &str) -> Result<u32, UserError> {
    Err(UserError::UnknownGroup(group.into()))
}
