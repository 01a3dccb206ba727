//! The verbs: one line each.

use std::time::Duration;

use super::nearest;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Supervise `Config::command`, which is not empty.
    Run,
    /// Run `Config::command`, which is not empty, as a plain init.
    Init,
    /// Re-stamp `LISTEN_PID` and become `Config::command`, which is not empty.
    Exec,
    /// Print every setting.
    Config {
        /// As JSON.
        json: bool,
    },
    /// Print a shell's completions.
    Completions(Shell),
    /// Print the manual page.
    Man,
    /// Show what the fleet is doing.
    Status {
        /// As JSON.
        json: bool,
        /// Again and again.
        watch: bool,
    },
    /// A rolling restart.
    Reload {
        /// Until it is over.
        wait: bool,
        /// How long, if not for ever.
        timeout: Option<Duration>,
        /// Only if nobody has rolled meanwhile.
        if_generation: Option<u32>,
    },
    /// A graceful stop.
    Stop {
        /// Until it is over.
        wait: bool,
    },
    /// Another number of workers.
    Scale(Change),
    /// Whether enough workers serve.
    Ready,
    /// Whether the master's loop answers.
    Live,
    /// What a signal of this number would do.
    Signal(i32),
    /// Print the metrics.
    Metrics,
    /// Show what has happened.
    Events {
        /// And what happens.
        follow: bool,
        /// As JSON.
        json: bool,
    },
    /// Say what is wrong.
    Doctor {
        /// As JSON.
        json: bool,
    },
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// How the number of workers changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// To so many.
    To(u16),
    /// By so many.
    By(i16),
}

/// A shell that can complete our words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    /// GNU bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

/// The shells by name.
pub(crate) const SHELLS: [(&str, Shell); 3] =
    [("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];

/// What the words behind a verb are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Settings and a command.
    SettingsAndCommand,
    /// A command alone.
    Command,
    /// Settings, and a command that may be missing.
    Settings,
    /// The name of a shell.
    Shell,
    /// Nothing.
    Nothing,
    /// Its own options, and where the control socket is.
    Operator,
    /// The same, and one word.
    OperatorAndWord,
}

/// One verb.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    /// The word.
    pub(crate) name: &'static str,
    /// What follows it, as the help shows it.
    pub(crate) usage: &'static str,
    /// What it does.
    pub(crate) meaning: &'static str,
    /// What follows it, as the parser reads it.
    pub(crate) takes: Takes,
    /// What it asks for, before its options are known.
    pub(crate) verb: Verb,
}

/// A line of the table.
const fn word(
    name: &'static str,
    usage: &'static str,
    meaning: &'static str,
    takes: Takes,
    verb: Verb,
) -> Word {
    Word { name, usage, meaning, takes, verb }
}

const RUN: &str = "[OPTIONS] [--] COMMAND [ARG]...";

/// Every verb.
pub(crate) const VERBS: &[Word] = &[
    word("run", RUN, "supervise (the default)", Takes::SettingsAndCommand, Verb::Run),
    word("init", RUN, "one child, a plain container init", Takes::SettingsAndCommand, Verb::Init),
    word(
        "exec",
        "[--] COMMAND [ARG]...",
        "re-stamp LISTEN_PID in a start script",
        Takes::Command,
        Verb::Exec,
    ),
    word("config", "[--json]", "every setting", Takes::Settings, Verb::Config { json: false }),
    word(
        "completions",
        "bash|zsh|fish",
        "shell completions",
        Takes::Shell,
        Verb::Completions(Shell::Bash),
    ),
    word("man", "", "the manual page, for man -l -", Takes::Nothing, Verb::Man),
    word(
        "status",
        "[--json] [--watch]",
        "what the fleet is doing",
        Takes::Operator,
        Verb::Status { json: false, watch: false },
    ),
    word(
        "reload",
        "[--no-wait] [--timeout 5m] [--if-generation N]",
        "rolling restart; non-zero, with the reason, if it failed",
        Takes::Operator,
        Verb::Reload { wait: true, timeout: None, if_generation: None },
    ),
    word("stop", "[--no-wait]", "graceful stop", Takes::Operator, Verb::Stop { wait: true }),
    word(
        "scale",
        "N|+N|-N",
        "another number of workers",
        Takes::OperatorAndWord,
        Verb::Scale(Change::By(0)),
    ),
    word("ready", "", "probe: exit 0 if enough workers serve", Takes::Operator, Verb::Ready),
    word("live", "", "probe: exit 0 if the master answers", Takes::Operator, Verb::Live),
    word(
        "signal",
        "NAME",
        "signal the master, where there is no kill",
        Takes::OperatorAndWord,
        Verb::Signal(0),
    ),
    word("metrics", "", "the metrics, for Prometheus", Takes::Operator, Verb::Metrics),
    word(
        "events",
        "[--follow] [--json]",
        "who started, why who left, a crashed worker's last lines",
        Takes::Operator,
        Verb::Events { follow: false, json: false },
    ),
    word(
        "doctor",
        "[--json]",
        "what is wrong in this container, and what would help",
        Takes::Operator,
        Verb::Doctor { json: false },
    ),
];

/// The verb of this name.
pub(crate) fn named(name: &str) -> Option<&'static Word> {
    VERBS.iter().find(|word| word.name == name)
}

/// The verb that a program's name looks like.
pub(crate) fn meant_by(name: &str) -> Option<&'static str> {
    nearest::nearest(name, VERBS.iter().map(|word| word.name))
}
