//! Every setting as text, with its value and where it came from: what `config` shows.

use std::ffi::OsString;

use super::fault::Source;
use super::settings::{self, Setting};
use super::typed::{Given, Typed};

/// One line of `config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The setting.
    pub(crate) setting: &'static Setting,
    /// The variable's name in full.
    pub(crate) variable: String,
    /// The value that counts; none if there is none, or if it may be a secret.
    pub(crate) value: Option<String>,
    /// Where it came from.
    pub(crate) source: Source,
}

/// A row for every setting, and for every member of a family that is set.
pub(crate) fn rows(typed: &Typed, command: &[OsString]) -> Vec<Row> {
    let mut rows = Vec::new();
    for setting in settings::shown() {
        if setting.is_family() {
            rows.extend(members(typed, setting));
        } else if setting.name == "WORKER" && !command.is_empty() {
            rows.push(Row {
                setting,
                variable: setting.variable(),
                value: Some(quoted(command)),
                source: Source::CommandLine,
            });
        } else {
            rows.push(single(typed, setting));
        }
    }
    rows
}

/// The row of a setting that is one variable.
fn single(typed: &Typed, setting: &'static Setting) -> Row {
    let given = typed.settings.get(setting.name);
    let default = (!setting.default.is_empty()).then(|| setting.default.to_owned());
    Row {
        setting,
        variable: setting.variable(),
        value: given.map(|given| text(setting, given)).or(default),
        source: given.map_or(Source::Default, |given| given.source),
    }
}

/// The rows of a family: its members, or one row that shows that there are none.
fn members(typed: &Typed, setting: &'static Setting) -> Vec<Row> {
    let mine = typed.members.iter().filter(|member| member.family.name == setting.name);
    let rows: Vec<Row> = mine
        .map(|member| Row {
            setting,
            variable: format!("{}{}{}", settings::PREFIX, setting.name, member.rest),
            value: (!setting.is_secret()).then(|| text(setting, &member.given)),
            source: member.given.source,
        })
        .collect();
    if rows.is_empty() { vec![single(typed, setting)] } else { rows }
}

/// A value as it was typed.
fn text(setting: &Setting, given: &Given) -> String {
    let texts: Vec<_> = given.values.iter().map(|value| value.to_string_lossy()).collect();
    if setting.is_list() {
        texts.join(",")
    } else {
        texts.last().map(ToString::to_string).unwrap_or_default()
    }
}

/// Words as a shell would need them.
fn quoted(words: &[OsString]) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@%+".contains(letter);
    let quote = |word: &OsString| {
        let word = word.to_string_lossy();
        if !word.is_empty() && word.chars().all(plain) {
            return word.into_owned();
        }
        format!("'{}'", word.replace('\'', "'\\''"))
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}
