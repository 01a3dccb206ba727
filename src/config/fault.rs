//! What can be wrong with a configuration, told so that the operator can mend it at once.

use std::fmt;

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nobody set it.
    Default,
    /// A variable.
    Environment,
    /// A flag, or a word of the command line.
    CommandLine,
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
        /// What is wrong and what is allowed.
        problem: String,
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
            Self::Usage(problem) => f.write_str(problem),
            Self::Value { name, value, problem, example } => {
                write!(f, "{name}={value}: {problem}, for example {name}={example}")
            }
        }
    }
}

impl std::error::Error for Fault {}

/// The exit code that tells a caller what kind of faults these are.
pub(crate) fn exit_code(faults: &[Fault]) -> u8 {
    if faults.iter().any(|fault| matches!(fault, Fault::Usage(_))) { 64 } else { 78 }
}
