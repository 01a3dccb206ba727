//! The command line to what was typed: a verb, flags, then the command.
//!
//! Options end at the first word that is none, so that the command keeps its own flags.

use std::ffi::{OsStr, OsString};

use lexopt::{Arg, Parser};

use super::account::Resource;
use super::fault::{Fault, Source, Warning};
use super::nearest;
use super::operating;
use super::settings::{self, Form, Setting};
use super::typed::{Given, Member, Typed};
use super::verb::{self, Shell, Takes, Verb};

/// What the command line says.
#[derive(Debug)]
pub(crate) struct CommandLine {
    /// What to do.
    pub(crate) verb: Verb,
    /// What may follow it.
    pub(crate) takes: Takes,
    /// The settings among the flags.
    pub(crate) typed: Typed,
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// What makes no sense.
    pub(crate) faults: Vec<Fault>,
    /// What may not be meant.
    pub(crate) warnings: Vec<Warning>,
}

/// Reads the words behind our own name.
pub(crate) fn read(arguments: impl Iterator<Item = OsString>) -> CommandLine {
    let mut words: Vec<OsString> = arguments.collect();
    let first = words.first().and_then(|word| word.to_str()).and_then(verb::named);
    let mut line = CommandLine {
        verb: first.map_or(Verb::Run, |word| word.verb),
        takes: first.map_or(Takes::SettingsAndCommand, |word| word.takes),
        typed: Typed::default(),
        command: Vec::new(),
        faults: Vec::new(),
        warnings: Vec::new(),
    };
    if first.is_some() {
        words.remove(0);
    } else if let [only] = words.as_slice() {
        line.warnings.extend(doubt(only));
    }
    line.read_options(Parser::from_args(words));
    line.check_words();
    line
}

impl CommandLine {
    fn fault(&mut self, problem: String) {
        self.faults.push(Fault::Usage(problem));
    }

    /// Reads options up to the first word that is none, and takes the rest as the command.
    fn read_options(&mut self, mut parser: Parser) {
        loop {
            match parser.next() {
                Ok(None) => return,
                Ok(Some(Arg::Short('h'))) => return self.verb = Verb::Help,
                Ok(Some(Arg::Short('V'))) => return self.verb = Verb::Version,
                Ok(Some(Arg::Short(letter)))
                    if self.takes == Takes::OperatorAndWord && letter.is_ascii_digit() =>
                {
                    // `scale -2`: a number, not a letter.
                    let rest = parser.optional_value().unwrap_or_default();
                    self.command = vec![format!("-{letter}{}", rest.to_string_lossy()).into()];
                }
                Ok(Some(Arg::Short(letter))) => {
                    // What is left of a cluster of letters, as in `-abc`, belongs to it.
                    parser.optional_value();
                    self.fault(format!("-{letter}: unknown option"));
                }
                Ok(Some(Arg::Long(name))) => {
                    let name = name.to_owned();
                    if self.read_long(&name, &mut parser) {
                        return;
                    }
                }
                Ok(Some(Arg::Value(first))) => {
                    let rest = parser.raw_args();
                    self.command =
                        std::iter::once(first).chain(rest.into_iter().flatten()).collect();
                    return;
                }
                Err(error) => self.fault(error.to_string()),
            }
        }
    }

    /// Reads one long option; true if nothing behind it matters.
    fn read_long(&mut self, name: &str, parser: &mut Parser) -> bool {
        match (name, &mut self.verb) {
            ("help", verb) => *verb = Verb::Help,
            ("version", verb) => *verb = Verb::Version,
            ("json", Verb::Config { json }) => *json = true,
            _ => {
                if let Some(read) = operating::option(&mut self.verb, name, parser) {
                    self.faults.extend(read.err().map(Fault::Usage));
                    return false;
                }
                if let Some((setting, member)) =
                    named(name).filter(|(setting, _)| self.takes_setting(setting))
                {
                    self.read_setting(name, setting, member, parser);
                } else {
                    parser.optional_value();
                    self.fault(unknown(name));
                }
                return false;
            }
        }
        if let Some(value) = parser.optional_value() {
            self.fault(format!("--{name}={}: takes no value", value.to_string_lossy()));
        }
        matches!(self.verb, Verb::Help | Verb::Version)
    }

    fn takes_setting(&self, setting: &Setting) -> bool {
        match self.takes {
            Takes::SettingsAndCommand | Takes::Settings => true,
            Takes::Operator | Takes::OperatorAndWord => operating::knows(setting.name),
            Takes::Command | Takes::Shell | Takes::Nothing => false,
        }
    }

    /// Reads a setting's value.
    fn read_setting(
        &mut self,
        flag: &str,
        setting: &'static Setting,
        member: Option<&str>,
        parser: &mut Parser,
    ) {
        let value = if setting.form == Form::Switch {
            Ok(parser.optional_value().unwrap_or_else(|| "on".into()))
        } else {
            parser.value()
        };
        let Ok(value) = value else {
            let (word, example) = (setting.placeholder(), setting.example);
            let example = if setting.is_family() { word } else { example };
            return self.fault(format!("--{flag}: needs a value, as in --{flag}={example}"));
        };
        let label = format!("--{flag}");
        let given =
            |label, value| Given { label, source: Source::CommandLine, values: vec![value] };
        match (setting.is_family(), member) {
            (false, _) => self.typed.note(setting, given(label, trimmed(value))),
            (true, Some(rest)) => {
                let given = given(label, trimmed(value));
                self.typed.note_member(Member { family: setting, rest: rest.to_owned(), given });
            }
            (true, None) => match pair(setting, &value) {
                Ok((rest, value)) => {
                    let given = given(format!("{label}={rest}"), value);
                    self.typed.note_member(Member { family: setting, rest, given });
                }
                Err(problem) => self.fault(format!("{label}: {problem}")),
            },
        }
    }

    /// Checks the words that are no options against what the verb takes.
    fn check_words(&mut self) {
        let words = std::mem::take(&mut self.command);
        match (self.verb, self.takes) {
            (Verb::Help | Verb::Version, _) => {}
            (Verb::Completions(_), _) => match words.as_slice() {
                [word] => match shell(word) {
                    Some(shell) => self.verb = Verb::Completions(shell),
                    None => self.fault(format!(
                        "completions {}: unknown shell; there are bash, zsh and fish",
                        word.to_string_lossy()
                    )),
                },
                _ => self.fault("completions: needs one shell: bash, zsh or fish".to_owned()),
            },
            (verb, Takes::OperatorAndWord) => match operating::word(verb, &words) {
                Ok(verb) => self.verb = verb,
                Err(problem) => self.fault(problem),
            },
            (_, Takes::Nothing | Takes::Operator) => {
                if let Some(word) = words.first() {
                    self.fault(format!("{}: too many words", word.to_string_lossy()));
                }
            }
            (_, Takes::Command) if words.is_empty() => {
                self.fault("exec: no command, as in dutch-master exec -- COMMAND".to_owned());
            }
            _ => self.command = words,
        }
    }
}

/// The shell of this name.
fn shell(word: &OsStr) -> Option<Shell> {
    let word = word.to_str()?;
    verb::SHELLS.iter().find(|(name, _)| *name == word).map(|&(_, shell)| shell)
}

/// The setting of a flag, and the member's name if the flag holds it, as in `--rlimit-nofile`.
fn named(flag: &str) -> Option<(&'static Setting, Option<&'static str>)> {
    if let Some(setting) = settings::all().find(|setting| setting.flag() == flag) {
        return Some((setting, None));
    }
    let resource = Resource::named(flag.strip_prefix("rlimit-")?)?;
    let is_lower = !flag.contains(|letter: char| letter.is_ascii_uppercase());
    settings::named("RLIMIT_").filter(|_| is_lower).map(|family| (family, Some(resource.name())))
}

/// Text without the space around it; anything else as it stands.
fn trimmed(value: OsString) -> OsString {
    value.to_str().map(|text| text.trim().into()).unwrap_or(value)
}

/// A family's `NAME=VALUE`.
fn pair(family: &Setting, value: &OsStr) -> Result<(String, OsString), String> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let shown = || super::fault::printable(&value.to_string_lossy());
    let mut parts = value.as_bytes().splitn(2, |byte| *byte == b'=');
    let name = parts.next().and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
    let Some(value) = parts.next().filter(|_| !name.is_empty()) else {
        // What stands before the first `=` is no secret; a lone word may be one.
        return Err(format!("needs NAME=VALUE, as in {}", family.placeholder()));
    };
    if family.name != "RLIMIT_" {
        return Ok((name.to_owned(), OsString::from_vec(value.to_vec())));
    }
    match Resource::named(name) {
        Some(resource) => Ok((resource.name().to_owned(), OsString::from_vec(value.to_vec()))),
        None => Err(match Resource::nearest(name) {
            Some(known) => format!("{}: no such limit; did you mean {known}?", shown()),
            None => format!("{}: no such limit", shown()),
        }),
    }
}

/// Why a flag is refused, with the one that was meant.
fn unknown(flag: &str) -> String {
    let flags: Vec<String> = settings::all().map(Setting::flag).collect();
    let known = flags
        .iter()
        .map(String::as_str)
        .chain(["help", "version", "json"])
        .chain(operating::OPTIONS);
    match nearest::nearest(&flag.replace('_', "-"), known) {
        Some(known) => format!("--{flag}: unknown option; did you mean --{known}?"),
        None => format!("--{flag}: unknown option; dutch-master --help lists all"),
    }
}

/// A lone word that is nearly a verb is run as a program all the same, and said to be.
fn doubt(only: &OsStr) -> Option<Warning> {
    let word = only.to_str()?;
    let meant = verb::meant_by(word).filter(|_| word.len() > 3 && !word.contains('/'))?;
    Some(Warning(format!("{word}: not a verb, so run as a command; did you mean {meant}?")))
}

#[cfg(test)]
mod tests {
    use super::{CommandLine, read};
    use crate::config::verb::{Change, Shell, Verb};
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;

    fn line(words: &[&str]) -> CommandLine {
        read(words.iter().map(OsString::from))
    }

    fn problem(words: &[&str]) -> String {
        let faults = line(words).faults;
        assert_eq!(faults.len(), 1, "{words:?}: {faults:?}");
        faults[0].to_string()
    }

    #[test]
    fn a_verb_is_a_verb_only_as_the_first_word() {
        assert_eq!(line(&["init", "sh"]).verb, Verb::Init);
        assert_eq!(line(&["exec", "--", "sh"]).verb, Verb::Exec);
        let plain = line(&["--", "status", "--json"]);
        assert_eq!((plain.verb, plain.command.len()), (Verb::Run, 2));
        let late = line(&["--workers=2", "init"]);
        assert_eq!((late.verb, late.command), (Verb::Run, vec![OsString::from("init")]));
        assert_eq!(line(&["config", "--json"]).verb, Verb::Config { json: true });
        assert_eq!(line(&["scale", "-12"]).verb, Verb::Scale(Change::By(-12)));
        assert_eq!(line(&["signal", "usr1"]).verb, Verb::Signal(10));
        let timeout = Some(std::time::Duration::from_secs(90));
        let reload = line(&["reload", "--timeout", "90s", "--if-generation=4", "--no-wait"]);
        let wanted = Verb::Reload { wait: false, timeout, if_generation: Some(4) };
        assert_eq!((reload.verb, reload.faults), (wanted, vec![]));
        assert_eq!(line(&["completions", "fish"]).verb, Verb::Completions(Shell::Fish));
    }

    #[test]
    fn options_end_at_the_first_word_that_is_none() {
        let found = line(&["--workers", "2", "node", "--workers", "3", "--", "-x"]);
        assert_eq!(found.command, ["node", "--workers", "3", "--", "-x"]);
        assert_eq!(found.typed.settings["WORKERS"].values, ["2"]);
        let found = line(&["run", "--nice", "-5", "--", "--odd-program", "-h"]);
        assert_eq!(found.command, ["--odd-program", "-h"]);
        assert_eq!(found.typed.settings["NICE"].values, ["-5"]);
    }

    #[test]
    fn a_list_may_be_repeated_and_of_other_flags_the_last_counts() {
        let found = line(&["--listen=:1", "--listen", ":2", "--workers=1", "--workers=2", "a"]);
        assert_eq!(found.typed.settings["LISTEN"].values, [":1", ":2"]);
        assert_eq!(found.typed.settings["WORKERS"].values, ["2"]);
        assert_eq!(found.typed.settings["LISTEN"].label, "--listen");
    }

    #[test]
    fn a_switch_needs_no_value_and_takes_no_word() {
        let found = line(&["--no-new-privs", "off"]);
        assert_eq!(found.typed.settings["NO_NEW_PRIVS"].values, ["on"]);
        assert_eq!(found.command, ["off"]);
        let found = line(&["--no-new-privs=off", "a"]);
        assert_eq!(found.typed.settings["NO_NEW_PRIVS"].values, ["off"]);
    }

    #[test]
    fn a_family_takes_name_and_value() {
        let found = line(&["--worker-env", "A=b=c", "--rlimit=nofile=5:6", "--rlimit-core=0", "a"]);
        let members: Vec<_> = found
            .typed
            .members
            .iter()
            .map(|m| (m.rest.as_str(), m.given.values[0].to_str()))
            .collect();
        assert_eq!(members, [("A", Some("b=c")), ("NOFILE", Some("5:6")), ("CORE", Some("0"))]);
        assert!(problem(&["--worker-env", "secret", "a"]).contains("needs NAME=VALUE"));
        assert!(!problem(&["--worker-env", "secret", "a"]).contains("secret"));
        assert!(problem(&["--rlimit=FILES=1", "a"]).contains("no such limit"));
    }

    #[test]
    fn a_typo_is_told_what_was_meant() {
        for (words, meant) in [
            (&["--kill-timeot=5", "a"][..], "did you mean --kill-timeout?"),
            (&["--kill_timeout=5", "a"], "did you mean --kill-timeout?"),
            (&["--hlep"], "did you mean --help?"),
            (&["--colour", "a"], "--colour: unknown option; dutch-master --help lists all"),
            (&["-x", "a"], "-x: unknown option"),
            (&["--workers"], "--workers: needs a value, as in --workers=auto*2"),
            (&["--help=5"], "takes no value"),
            (&["completions", "tcsh"], "completions tcsh: unknown shell"),
            (&["completions"], "needs one shell"),
            (&["man", "2"], "2: too many words"),
            (&["exec"], "exec: no command"),
            (&["exec", "--workers=2", "a"], "--workers: unknown option"),
            (&["status", "--workers=2"], "--workers: unknown option"),
            (&["reload", "--tiemout=2m"], "did you mean --timeout?"),
            (&["scale"], "scale: needs one word"),
            (&["scale", "0"], "scale 0: "),
            (&["signal", "SIGNOT"], "signal SIGNOT: "),
        ] {
            let problem = problem(words);
            assert!(problem.contains(meant), "{words:?}: {problem}");
        }
        let doubts = line(&["confg"]).warnings;
        assert_eq!(
            doubts[0].to_string(),
            "confg: not a verb, so run as a command; did you mean config?"
        );
        assert!(line(&["./confg"]).warnings.is_empty() && line(&["node"]).warnings.is_empty());
    }

    #[test]
    fn help_and_version_win_over_whatever_follows() {
        assert_eq!(line(&["--help", "--colour"]).verb, Verb::Help);
        assert_eq!(line(&["run", "-h"]).verb, Verb::Help);
        assert_eq!(line(&["-V"]).verb, Verb::Version);
        assert_eq!(line(&["--version", "x"]).faults, []);
    }

    #[test]
    fn words_that_are_no_text_reach_the_command_as_they_are() {
        let odd = OsStr::from_bytes(b"/bin/\xff").to_owned();
        let found = read([odd.clone(), odd.clone()].into_iter());
        assert_eq!(found.command, [odd.clone(), odd.clone()]);
        let found = read(["--chdir".into(), odd.clone(), "a".into()].into_iter());
        assert_eq!(found.typed.settings["CHDIR"].values, std::slice::from_ref(&odd));
        let flag = OsStr::from_bytes(b"--\xff=1").to_owned();
        assert_eq!(read([flag].into_iter()).faults.len(), 1);
    }
}
