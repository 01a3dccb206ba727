//! Starts the one child.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::Options;
use crate::sys::limits::Limits;
use crate::sys::spawn::{self, Launch, SpawnError, Step};
use crate::sys::{Pid, host};

/// Forks and executes `command`. Its own file descriptors, directory and variables are ours.
pub(super) fn start(
    command: &[OsString],
    options: &Options,
) -> Result<Pid, (Option<Pid>, SpawnError)> {
    let program = command.first().map_or(OsStr::new(""), OsString::as_os_str);
    spawn::spawn_inheriting(&Launch {
        candidates: spawn::candidates(program, host::variable("PATH").as_deref()),
        argv: command.iter().map(|word| text(word.as_bytes())).collect(),
        env: None,
        own_pid_env: false,
        cwd: None,
        fds: Vec::new(),
        credentials: None,
        group: options.group,
        limits: Limits::default(),
        filter: None,
    })
}

/// What to run instead when the kernel does not know the file's format: POSIX says, a shell script.
pub(super) fn shell_command(command: &[OsString], error: &SpawnError) -> Option<Vec<OsString>> {
    let unknown = error.step == Step::Exec && error.is_unknown_format();
    let arguments = command.get(1..).unwrap_or_default().iter().cloned();
    unknown.then(|| {
        [OsString::from("/bin/sh"), error.path.clone()].into_iter().chain(arguments).collect()
    })
}

/// Words from the kernel hold no NUL; should one come from elsewhere, it ends there.
fn text(bytes: &[u8]) -> CString {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    CString::new(bytes.get(..end).unwrap_or_default()).unwrap_or_default()
}

/// A program's name for messages.
pub(super) fn shown(command: &[OsString]) -> String {
    let program = command.first().cloned().unwrap_or_default().into_vec();
    String::from_utf8_lossy(&program).into_owned()
}
