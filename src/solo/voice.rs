//! What an init says: each name it is called by has its own tongue.

use std::io::{Write, stderr, stdout};

use crate::config::Signal;
use crate::sys::{Errno, Pid, reap::ExitStatus, spawn::SpawnError};

/// Something worth telling.
#[derive(Clone, Copy, Debug)]
pub(super) enum Note<'a> {
    /// We could not be what was asked for.
    Failed(&'static str, Errno),
    /// The terminal was given up; true if we led its session.
    Detached(Result<bool, Errno>),
    /// The child exists.
    Spawned(&'a str, Pid),
    /// The child could not be made or could not become its program.
    NotStarted(&'a str, Option<Pid>, &'a SpawnError),
    /// A signal has come.
    Received(i32),
    /// It was that of the terminal's hand-over.
    Skipped(i32),
    /// It becomes another one.
    Rewritten(i32, i32),
    /// It was sent on.
    Forwarded(i32),
    /// It was not.
    Dropped(i32),
    /// We stop as the terminal asks.
    Suspending,
    /// Some process was reaped.
    Reaped(Pid, ExitStatus),
    /// Some process was reaped that is not the child.
    Orphan(Pid),
    /// The child has ended.
    Ended(&'a str, Pid, ExitStatus),
    /// The child did not stop in time.
    Killed(Pid),
    /// Others are still there after the child.
    Waiting,
    /// Some of them had to be killed.
    KilledRest,
    /// We leave with this code.
    Leaving(u8),
}

/// One line, and where it goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    error: bool,
    text: String,
}

impl Line {
    /// A line for standard error.
    pub(super) fn error(text: impl Into<String>) -> Self {
        Self { error: true, text: text.into() }
    }

    /// A line for standard output.
    pub(super) fn output(text: impl Into<String>) -> Self {
        Self { error: false, text: text.into() }
    }

    /// Writes it in one piece; who does not listen misses it.
    pub(super) fn print(&self) {
        let text = format!("{}\n", self.text);
        let _ = if self.error {
            stderr().write_all(text.as_bytes())
        } else {
            stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush())
        };
    }
}

/// What to say about a note at a verbosity.
pub(super) type Voice = fn(&Note<'_>, u8) -> Option<Line>;

/// The signal's name.
pub(super) fn name(signal: i32) -> String {
    Signal::from_number(signal).map_or_else(|| signal.to_string(), |signal| signal.to_string())
}

/// `dutch-master init`: 0 says why it failed, 1 (default) also who died of which signal, 2 everything.
pub(super) fn ours(note: &Note<'_>, verbosity: u8) -> Option<Line> {
    // Ten thousand orphans are not worth ten thousand texts that nobody will see.
    let is_detail = matches!(note, Note::Received(_) | Note::Reaped(..) | Note::Orphan(_));
    if is_detail && verbosity < 2 {
        return None;
    }
    let (level, text) = match note {
        Note::Failed(what, errno) => (0, format!("cannot {what}: {errno}")),
        Note::NotStarted(_, _, error) => (0, error.to_string()),
        Note::Ended(program, pid, status) => match status.signal() {
            Some(signal) => {
                let core = if status.core_dumped() { " (core dumped)" } else { "" };
                (1, format!("{program} (pid {pid}) was killed by {}{core}", name(signal)))
            }
            None => (2, format!("{program} (pid {pid}) exited with {}", status.shell_code())),
        },
        Note::Killed(pid) => (1, format!("pid {pid} did not stop in time: sent SIGKILL")),
        Note::KilledRest => (1, "descendants did not stop in time: sent SIGKILL".to_owned()),
        Note::Spawned(program, pid) => (2, format!("started {program} (pid {pid})")),
        Note::Rewritten(from, to) if *to != 0 => {
            (2, format!("{} becomes {}", name(*from), name(*to)))
        }
        Note::Forwarded(signal) => (2, format!("sent {}", name(*signal))),
        Note::Dropped(signal) => (2, format!("{} is not passed on", name(*signal))),
        Note::Orphan(pid) => (2, format!("reaped orphan {pid}")),
        Note::Waiting => (2, "waiting for the remaining descendants".to_owned()),
        _ => return None,
    };
    (level <= verbosity).then(|| Line::error(format!("dutch-master: {text}")))
}
