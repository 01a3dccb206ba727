//! How an init behaves: plain values, the same for every name it may be called by.

use std::time::Duration;

use super::codes::Codes;
use super::forward::Rewrite;
use super::voice::{Line, Voice, ours};
use crate::sys::spawn::{Group, SpawnError};

/// Who gets the signals that come to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whom {
    /// The child alone.
    Child,
    /// Its whole process group.
    Group,
}

impl Whom {
    /// The group, if this is so.
    pub(super) const fn group_if(group: bool) -> Self {
        if group { Self::Group } else { Self::Child }
    }
}

/// How an init behaves.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// What each signal becomes on its way to the child.
    pub(super) rewrite: Rewrite,
    /// Who gets the signals.
    pub(super) to: Whom,
    /// The child's process group or session.
    pub(super) group: Group,
    /// The signal that we get, and pass on, when our parent dies.
    pub(super) parent_death: Option<i32>,
    /// What the child's exit code becomes.
    pub(super) codes: Codes,
    /// How long after it was told to stop the child is killed.
    pub(super) kill_after: Option<Duration>,
    /// Wait for every descendant before leaving, this long before killing them.
    pub(super) wait_all: Option<Duration>,
    /// What the child's group gets when the child has ended.
    pub(super) farewell: Option<i32>,
    /// After a terminal's stop signal we stop, too.
    pub(super) suspends: bool,
    /// A script without `#!` line runs under /bin/sh, as execvp(3) has it.
    pub(super) shell_fallback: bool,
    /// No child: reap until told to go.
    pub(super) pause: bool,
    /// The exit code when the child could not be started.
    pub(super) failure_code: fn(&SpawnError) -> u8,
    /// What is said before anything happens.
    pub(super) preface: Vec<Line>,
    /// What is said, and how.
    pub(super) voice: Voice,
    /// How much is said; each voice has its own scale.
    pub(super) verbosity: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rewrite: Rewrite::default(),
            to: Whom::Child,
            group: Group::Foreground,
            parent_death: None,
            codes: Codes::default(),
            kill_after: None,
            wait_all: None,
            farewell: None,
            suspends: false,
            shell_fallback: false,
            pause: false,
            preface: Vec::new(),
            failure_code: SpawnError::shell_code,
            voice: ours,
            verbosity: 1,
        }
    }
}
