//! What can be wrong with a configuration, told so that the operator can mend it at once.

use std::fmt;

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nobody set it.
    Default,
    /// A variable.
    Environment,
    /// A flag, or the words of the command line.
    CommandLine,
}

impl Source {
    /// As `config` shows it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Environment => "environment",
            Self::CommandLine => "command line",
        }
    }
}

/// One thing that keeps us from starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The command line makes no sense: exit code 64.
    Usage(String),
    /// A value is not allowed: exit code 78.
    Value {
        /// The variable, in full, or the flag with its dashes.
        name: String,
        /// The value as given.
        value: String,
        /// Where it came from.
        source: Source,
        /// What is wrong with it.
        problem: String,
        /// What may be written instead.
        allowed: &'static str,
        /// A value that would do.
        example: &'static str,
    },
}

/// One thing that the operator should know, and that keeps nobody from starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning(pub(crate) String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(problem) => f.write_str(&printable(problem)),
            Self::Value { name, value, source, problem, allowed, example } => write!(
                f,
                "{name}={}: {} (from the {}); allowed: {allowed}; example: {name}={example}",
                printable(value),
                printable(problem),
                source.name(),
            ),
        }
    }
}

impl std::error::Error for Fault {}

/// Longer values are cut: a fault is one line of a log.
const LONGEST_SHOWN: usize = 200;

/// A text that stays on its line and moves no cursor.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::new();
    for letter in text.chars() {
        if shown.len() > LONGEST_SHOWN {
            shown.push('…');
            break;
        }
        if letter.is_control() {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// The exit code that tells a caller what kind of faults these are.
pub(crate) fn exit_code(faults: &[Fault]) -> u8 {
    if faults.iter().any(|fault| matches!(fault, Fault::Usage(_))) { 64 } else { 78 }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Source, exit_code, printable};

    #[test]
    fn a_fault_names_thing_value_origin_what_is_allowed_and_an_example() {
        let fault = Fault::Value {
            name: "DUTCH_MASTER_KILL_TIMEOUT".to_owned(),
            value: "5x".to_owned(),
            source: Source::Environment,
            problem: "\"x\" is not a unit of time".to_owned(),
            allowed: "a time above zero",
            example: "2m",
        };
        assert_eq!(
            fault.to_string(),
            "DUTCH_MASTER_KILL_TIMEOUT=5x: \"x\" is not a unit of time (from the environment); \
             allowed: a time above zero; example: DUTCH_MASTER_KILL_TIMEOUT=2m"
        );
        assert_eq!(exit_code(std::slice::from_ref(&fault)), 78);
        assert_eq!(exit_code(&[fault, Fault::Usage("no command".to_owned())]), 64);
    }

    #[test]
    fn a_value_never_leaves_its_line() {
        assert_eq!(printable("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
        assert!(printable(&"x".repeat(100_000)).len() < 300);
    }
}
