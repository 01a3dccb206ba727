//! tini 0.19, which Docker ships as docker-init.

use std::ffi::OsString;

use super::{Asked, getopt};
use crate::solo::voice::{Line, Note};
use crate::solo::{Options, Variables, Whom};
use crate::sys::Pid;
use crate::sys::spawn::SpawnError;

const USAGE: &str = "\
Execute a program under the supervision of a valid init process (tini)

Command line options:

  --version: Show version and exit.
  -h: Show this help message and exit.
  -s: Register as a process subreaper (requires Linux >= 3.4).
  -p SIGNAL: Trigger SIGNAL when parent dies, e.g. \"-p SIGKILL\".
  -v: Generate more verbose output. Repeat up to 3 times.
  -w: Print a warning when processes are getting reaped.
  -g: Send signals to the child's process group.
  -e EXIT_CODE: Remap EXIT_CODE (from 0 to 255) to 0.
  -l: Show license and exit.

Environment variables:

  TINI_SUBREAPER: Register as a process subreaper (requires Linux >= 3.4).
  TINI_VERBOSITY: Set the verbosity level (default: 1).
  TINI_KILL_PROCESS_GROUP: Send signals to the child's process group.
";

/// strsignal(3), which tini prints.
const DESCRIPTIONS: [&str; 31] = [
    "Hangup",
    "Interrupt",
    "Quit",
    "Illegal instruction",
    "Trace/breakpoint trap",
    "Aborted",
    "Bus error",
    "Floating point exception",
    "Killed",
    "User defined signal 1",
    "Segmentation fault",
    "User defined signal 2",
    "Broken pipe",
    "Alarm clock",
    "Terminated",
    "Stack fault",
    "Child exited",
    "Continued",
    "Stopped (signal)",
    "Stopped",
    "Stopped (tty input)",
    "Stopped (tty output)",
    "Urgent I/O condition",
    "CPU time limit exceeded",
    "File size limit exceeded",
    "Virtual timer expired",
    "Profiling timer expired",
    "Window changed",
    "I/O possible",
    "Power failure",
    "Bad system call",
];

/// The version whose place we take. dockerd reads it, and docker's own has the commit behind it.
fn version(name: &str) -> &'static str {
    if name == "docker-init" { "tini version 0.19.0 - git.de40ad0" } else { "tini version 0.19.0" }
}

fn usage(name: &str) -> String {
    let version = version(name);
    format!("{name} ({version})\nUsage: {name} [OPTIONS] PROGRAM -- [ARGS] | --version\n\n{USAGE}")
}

/// Reads tini's command line.
pub(super) fn parse(name: &str, words: &[OsString], variable: Variables<'_>) -> Asked {
    if let [only] = words
        && only == "--version"
    {
        return Asked::Answer(vec![Line::output(version(name))], 0);
    }
    let mut options = Options {
        shell_fallback: true,
        failure_code,
        voice: speak,
        verbosity: variable("TINI_VERBOSITY").map_or(1, |text| number(&text)),
        to: Whom::group_if(variable("TINI_KILL_PROCESS_GROUP").is_some()),
        ..Options::default()
    };
    let (found, rest) = getopt::read(name, words, "hvwgle:sp:", &[]);
    for option in found {
        match option.letter {
            'h' => return Asked::Answer(vec![Line::output(usage(name))], 0),
            'l' => return Asked::Answer(vec![Line::output(super::LICENCE)], 0),
            'v' => options.verbosity = options.verbosity.saturating_add(1),
            'w' => options.voice = speak_of_orphans,
            'g' => options.to = Whom::Group,
            'e' => match option.value.parse() {
                Ok(code) => options.codes.set(code, 0),
                Err(_) => return refused('e', &option.value),
            },
            'p' => match signal(&option.value) {
                Some(signal) => options.parent_death = Some(signal),
                None => return refused('p', &option.value),
            },
            _ => {}
        }
    }
    match rest {
        Ok(command) if !command.is_empty() => Asked::Run(command, options),
        Ok(_) => Asked::Answer(vec![Line::error(usage(name))], 1),
        Err(complaint) => Asked::Answer(vec![Line::error(complaint), Line::error(usage(name))], 1),
    }
}

fn refused(letter: char, value: &str) -> Asked {
    Asked::Answer(vec![fatal(Pid::own(), &format!("Not a valid option for -{letter}: {value}"))], 1)
}

/// tini takes full names only.
fn signal(text: &str) -> Option<i32> {
    let known = text.starts_with("SIG").then(|| crate::config::signal_of(text).ok()).flatten()?;
    (known.to_string() == text).then_some(known.number())
}

/// atoi(3), as far as it makes sense here.
fn number(text: &str) -> u8 {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(if digits.is_empty() { 0 } else { u8::MAX })
}

fn failure_code(error: &SpawnError) -> u8 {
    if error.is_missing() {
        127
    } else if error.is_denied() {
        126
    } else {
        1
    }
}

fn fatal(pid: Pid, text: &str) -> Line {
    Line::error(format!("[FATAL tini ({pid})] {text}"))
}

fn speak_of_orphans(note: &Note<'_>, verbosity: u8) -> Option<Line> {
    let Note::Orphan(pid) = note else { return speak(note, verbosity) };
    let text = format!("[WARN  tini ({})] Reaped zombie process with pid={pid}", Pid::own());
    (verbosity > 0).then(|| Line::error(text))
}

fn speak(note: &Note<'_>, verbosity: u8) -> Option<Line> {
    let is_fatal = matches!(note, Note::NotStarted(..) | Note::Failed(..));
    if !is_fatal && verbosity < 2 {
        return None;
    }
    let (level, text) = match note {
        Note::NotStarted(program, Some(pid), error) => {
            let why = error.errno.strerror();
            return Some(fatal(*pid, &format!("exec {program} failed: {why}")));
        }
        Note::NotStarted(_, None, error) => {
            return Some(fatal(Pid::own(), &format!("fork failed: {}", error.errno.strerror())));
        }
        Note::Failed(what, errno) => {
            return Some(fatal(Pid::own(), &format!("Failed to {what}: {}", errno.strerror())));
        }
        Note::Spawned(program, pid) => {
            (2, format!("Spawned child process '{program}' with pid '{pid}'"))
        }
        Note::Ended(_, _, status) => (2, ended(status.signal(), status.shell_code())),
        Note::Received(crate::sys::signals::CHLD) => (3, "Received SIGCHLD".to_owned()),
        Note::Received(signal) => (3, format!("Passing signal: '{}'", described(*signal))),
        Note::Reaped(pid, _) => (3, format!("Reaped child with pid: '{pid}'")),
        Note::Leaving(_) => (4, "Exiting: child has exited".to_owned()),
        _ => return None,
    };
    let label = ["INFO ", "DEBUG", "TRACE"].get(usize::from(level).saturating_sub(2))?;
    let line = || Line::output(format!("[{label} tini ({})] {text}", Pid::own()));
    (verbosity >= level).then(line)
}

fn ended(signal: Option<i32>, code: u8) -> String {
    match signal {
        Some(signal) => {
            format!("Main child exited with signal (with signal '{}')", described(signal))
        }
        None => format!("Main child exited normally (with status '{code}')"),
    }
}

fn described(signal: i32) -> String {
    let place = usize::try_from(signal).unwrap_or_default().wrapping_sub(1);
    let known = DESCRIPTIONS.get(place).map(|known| (*known).to_owned());
    known.unwrap_or_else(|| format!("Real-time signal {}", signal.saturating_sub(34)))
}
