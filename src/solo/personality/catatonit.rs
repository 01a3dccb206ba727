//! catatonit 0.1, which podman ships, with its pause mode for pods.

use std::ffi::OsString;

use super::{Asked, getopt};
use crate::solo::voice::{Line, Note};
use crate::solo::{Options, Variables, Whom};
use crate::sys::Pid;
use crate::sys::spawn::SpawnError;

/// Docker accepts an init whose version looks so.
const VERSION: &str = "tini version 0.1.7_catatonit";

fn usage(name: &str) -> String {
    format!("usage: {name} [-ghLPV] [--] <progname> [<arguments>...]")
}

const OPTIONS: &str = "
options:
  -g              Forward signals to pid1's process group.
  -h              Print this help page.
  -L              Print license information.
  -P              Run in pause mode (no program is run and quit on SIGINT).
  -V, --version   Print version information.

The source code can be found at <https://github.com/openSUSE/catatonit/>.
For bug reporting instructions, please see: <https://bugs.opensuse.org/>.
";

/// Reads catatonit's command line.
pub(super) fn parse(name: &str, words: &[OsString], variable: Variables<'_>) -> Asked {
    let mut options = Options {
        shell_fallback: true,
        failure_code,
        voice: speak,
        verbosity: u8::from(variable("CATATONIT_DEBUG").is_some()),
        ..Options::default()
    };
    let (found, rest) = getopt::read(name, words, "ghLPV", &[("version", 'V', false)]);
    for option in found {
        match option.letter {
            'h' => {
                let help = format!("{}\n{OPTIONS}", usage(name));
                return Asked::Answer(vec![Line::error(help.trim_end())], 0);
            }
            'L' => return Asked::Answer(vec![Line::output(super::LICENCE)], 0),
            'V' => return Asked::Answer(vec![Line::output(VERSION)], 0),
            'P' => options.pause = true,
            _ => options.to = Whom::Group,
        }
    }
    match rest {
        Ok(command) if options.pause || !command.is_empty() => Asked::Run(command, options),
        Ok(_) => {
            let complaint = error(Pid::own(), "missing program name");
            Asked::Answer(vec![complaint, Line::error(usage(name))], 1)
        }
        Err(complaint) => Asked::Answer(vec![Line::error(complaint), Line::error(usage(name))], 1),
    }
}

fn failure_code(_: &SpawnError) -> u8 {
    1
}

fn error(pid: Pid, text: &str) -> Line {
    Line::error(format!("ERROR (catatonit:{pid}): {text}"))
}

fn speak(note: &Note<'_>, verbosity: u8) -> Option<Line> {
    let text = match note {
        Note::NotStarted(_, pid, problem) => {
            let step = if pid.is_some() { "exec pid1" } else { "fork child" };
            let text = format!("failed to {step}: {}", problem.errno.strerror());
            return Some(error(pid.unwrap_or(Pid::own()), &text));
        }
        Note::Failed(what, errno) => {
            return Some(error(Pid::own(), &format!("failed to {what}: {}", errno.strerror())));
        }
        _ if verbosity == 0 => return None,
        Note::Spawned(program, pid) => format!("pid1 ({pid}) spawned: {program}"),
        Note::Reaped(pid, status) => match status.signal() {
            Some(signal) => format!("child process {pid} exited due to signal {signal}"),
            None => format!("child process {pid} exited with code {}", status.shell_code()),
        },
        Note::Forwarded(signal) => format!("forwarded signal {signal} to pid1"),
        _ => return None,
    };
    Some(Line::error(format!("DEBUG (catatonit:{}): {text}", Pid::own())))
}
