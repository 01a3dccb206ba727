//! dumb-init 1.2: a session for the command, and signals to all of it.

use std::ffi::OsString;

use super::{Asked, getopt};
use crate::solo::voice::{Line, Note};
use crate::solo::{Options, Variables, Whom};
use crate::sys::signals::{STOP, TERM, TSTP, TTIN, TTOU};
use crate::sys::spawn::{Group, SpawnError};

const VERSION: &str = "dumb-init v1.2.5";

const REWRITE: &str = "\
Usage: -r option takes <signum>:<signum>, where <signum> is between 1 and 31.
This option can be specified multiple times.
Use --help for full usage.";

const LONGS: &[getopt::Long] = &[
    ("help", 'h', false),
    ("single-child", 'c', false),
    ("rewrite", 'r', true),
    ("verbose", 'v', false),
    ("version", 'V', false),
];

fn help(name: &str) -> String {
    format!(
        "\
{VERSION}
Usage: {name} [option] command [[arg] ...]

dumb-init is a simple process supervisor that forwards signals to children.
It is designed to run as PID1 in minimal container environments.

Optional arguments:
   -c, --single-child   Run in single-child mode.
                        In this mode, signals are only proxied to the
                        direct child and not any of its descendants.
   -r, --rewrite s:r    Rewrite received signal s to new signal r before proxying.
                        To ignore (not proxy) a signal, rewrite it to 0.
                        This option can be specified multiple times.
   -v, --verbose        Print debugging information to stderr.
   -h, --help           Print this help message and exit.
   -V, --version        Print the current version and exit.

Full help is available online at https://github.com/Yelp/dumb-init"
    )
}

/// Reads dumb-init's command line.
pub(super) fn parse(name: &str, words: &[OsString], variable: Variables<'_>) -> Asked {
    let debug = variable("DUMB_INIT_DEBUG").as_deref() == Some("1");
    let mut session = variable("DUMB_INIT_SETSID").as_deref() != Some("0");
    let mut options = Options {
        shell_fallback: true,
        failure_code,
        voice: speak,
        verbosity: u8::from(debug),
        farewell: Some(TERM),
        suspends: true,
        ..Options::default()
    };
    if debug {
        options.preface.push(line("Running in debug mode."));
        if !session {
            options.preface.push(line("Not running in setsid mode."));
        }
    }
    let (found, rest) = getopt::read(name, words, "hvVcr:", LONGS);
    for option in found {
        match option.letter {
            'h' => return Asked::Answer(vec![Line::error(help(name))], 0),
            'V' => return Asked::Answer(vec![Line::error(VERSION)], 0),
            'v' => options.verbosity = 1,
            'c' => session = false,
            _ => match pair(&option.value) {
                Some((from, to)) => options.rewrite.set(from, to),
                None => return Asked::Answer(vec![Line::error(REWRITE)], 1),
            },
        }
    }
    settle(&mut options, session);
    match rest {
        Ok(command) if !command.is_empty() => Asked::Run(command, options),
        Ok(_) => {
            let usage =
                format!("Usage: {name} [option] program [args]\nTry {name} --help for full usage.");
            Asked::Answer(vec![Line::error(usage)], 1)
        }
        Err(complaint) => Asked::Answer(vec![Line::error(complaint)], 1),
    }
}

/// In a session of its own nobody but us could continue a command that the terminal has stopped: a
/// terminal's stop signals become the one that job control understands.
fn settle(options: &mut Options, session: bool) {
    options.to = Whom::group_if(session);
    options.group = if session { Group::SessionWithTerminal } else { Group::Inherit };
    if session {
        for signal in [TSTP, TTOU, TTIN] {
            options.rewrite.set_default(signal, STOP);
        }
    }
}

/// `15:3` as sscanf(3) with `%d:%d` reads it: what follows the second number does not matter.
fn pair(text: &str) -> Option<(i32, i32)> {
    let (from, to) = text.split_once(':')?;
    let digits: String = to.chars().take_while(char::is_ascii_digit).collect();
    let (from, to) = (from.parse().ok()?, digits.parse().ok()?);
    ((1..=31).contains(&from) && (0..=31).contains(&to)).then_some((from, to))
}

fn failure_code(error: &SpawnError) -> u8 {
    if error.is_before_child() { 1 } else { 2 }
}

fn line(text: &str) -> Line {
    Line::error(format!("[dumb-init] {text}"))
}

fn speak(note: &Note<'_>, verbosity: u8) -> Option<Line> {
    let text = match note {
        Note::NotStarted(_, None, _) => return Some(line("Unable to fork. Exiting.")),
        Note::NotStarted(program, Some(_), error) => {
            return Some(line(&format!("{program}: {}", error.errno.strerror())));
        }
        _ if verbosity == 0 => return None,
        Note::Detached(Err(errno)) => {
            let (number, why) = (errno.0, errno.strerror());
            format!("Unable to detach from controlling tty (errno={number} {why}).")
        }
        Note::Detached(Ok(true)) => {
            "Detached from controlling tty, ignoring the first SIGHUP and SIGCONT we receive."
                .into()
        }
        Note::Detached(Ok(false)) => {
            "Detached from controlling tty, but was not session leader.".into()
        }
        Note::Spawned(_, pid) => format!("Child spawned with PID {pid}."),
        Note::Received(signal) => format!("Received signal {signal}."),
        Note::Skipped(signal) => format!("Ignoring tty hand-off signal {signal}."),
        Note::Rewritten(from, to) => format!("Translating signal {from} to {to}."),
        Note::Forwarded(signal) => format!("Forwarded signal {signal} to children."),
        Note::Dropped(_) => "Not forwarding signal 0 to children (ignored).".into(),
        Note::Suspending => "Suspending self due to TTY signal.".into(),
        Note::Reaped(pid, status) => match status.signal() {
            Some(signal) => format!("A child with PID {pid} was terminated by signal {signal}."),
            None => {
                format!("A child with PID {pid} exited with exit status {}.", status.shell_code())
            }
        },
        Note::Leaving(code) => format!("Child exited with status {code}. Goodbye."),
        _ => return None,
    };
    Some(line(&text))
}
