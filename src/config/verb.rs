//! The verbs: one line each, whether built or only promised.

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
    /// Print the help.
    Help,
    /// Print the version.
    Version,
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
    /// The verb is known and not built yet.
    Nobody,
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

/// A verb that later versions have: refused by name, so that no program is started in its place.
const fn promised(name: &'static str) -> Word {
    word(name, "", "", Takes::Nobody, Verb::Help)
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
    promised("status"),
    promised("reload"),
    promised("stop"),
    promised("scale"),
    promised("ready"),
    promised("live"),
    promised("signal"),
    promised("metrics"),
    promised("events"),
    promised("doctor"),
];

/// The verbs that are built.
pub(crate) fn built() -> impl Iterator<Item = &'static Word> {
    VERBS.iter().filter(|word| word.takes != Takes::Nobody)
}

/// The verb of this name.
pub(crate) fn named(name: &str) -> Option<&'static Word> {
    VERBS.iter().find(|word| word.name == name)
}

/// The verb that a program's name looks like.
pub(crate) fn meant_by(name: &str) -> Option<&'static str> {
    nearest::nearest(name, built().map(|word| word.name))
}
