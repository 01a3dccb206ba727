//! `--help`: the verbs and every option on one or two screens of 80 columns.

use std::fmt::Write;

use crate::config::settings::{self, Setting};
use crate::config::verb;

/// The narrowest terminal that anybody has.
const WIDTH: usize = 80;

/// Where the meanings begin; a longer option has a line of its own.
const COLUMN: usize = 29;

const HEAD: &str = "\
Starts a server's workers and replaces them without losing a request.

Usage: dutch-master [OPTIONS] [--] COMMAND [ARG]...
       dutch-master VERB ...
";

const OPTIONS: &str = "
Every option is a variable too: --kill-timeout is DUTCH_MASTER_KILL_TIMEOUT; the
option wins. Defaults stand in brackets; lists may be repeated. The first word
that is no option begins COMMAND.
";

/// The whole help.
pub(crate) fn text() -> String {
    let mut out = String::from(HEAD);
    out.push_str("\nVerbs (as the first word only):\n");
    for word in verb::VERBS {
        let usage = format!("{} {}", word.name, word.usage);
        entry(&mut out, usage.trim_end(), word.meaning);
    }
    out.push_str(OPTIONS);
    for group in &settings::GROUPS {
        let _ = write!(out, "\n{}:\n", group.title);
        for setting in group.shown() {
            let default = match setting.default {
                "" => String::new(),
                default => format!(" [{default}]"),
            };
            entry(&mut out, &option(setting), &format!("{}{default}", setting.meaning));
        }
    }
    out.push('\n');
    entry(&mut out, "-h, --help", "this text; dutch-master man has more");
    entry(&mut out, "-V, --version", "the version");
    out
}

/// An option and what it takes.
pub(crate) fn option(setting: &Setting) -> String {
    format!("--{} {}", setting.flag(), setting.placeholder()).trim_end().to_owned()
}

/// One entry, its meaning wrapped in a column of its own.
fn entry(out: &mut String, name: &str, meaning: &str) {
    let mut line = format!("  {name}");
    let is_long = line.chars().count().saturating_add(2) > COLUMN;
    let mut column = line.chars().count();
    if is_long {
        line.push('\n');
        column = 0;
    }
    let mut is_first = true;
    for word in meaning.split(' ') {
        let length = word.chars().count();
        let needs_line = column.saturating_add(length).saturating_add(1) > WIDTH;
        if needs_line {
            line.push('\n');
            column = 0;
        }
        if column < COLUMN && (is_first || needs_line) {
            line.extend(std::iter::repeat_n(' ', COLUMN.saturating_sub(column)));
            column = COLUMN;
        } else {
            line.push(' ');
            column = column.saturating_add(1);
        }
        line.push_str(word);
        column = column.saturating_add(length);
        is_first = false;
    }
    out.push_str(&line);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::config::settings;
    use crate::config::verb;

    #[test]
    fn the_help_fits_eighty_columns_and_names_every_option() {
        let text = text();
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert_eq!(line, line.trim_end());
        }
        for setting in settings::shown() {
            assert!(text.contains(&format!("  --{}", setting.flag())), "{}", setting.name);
        }
    }

    #[test]
    fn the_help_lists_every_verb() {
        let text = text();
        for word in verb::VERBS {
            let begins = |line: &str| line.starts_with(&format!("  {}", word.name));
            assert!(text.lines().any(begins), "{}", word.name);
        }
    }
}
