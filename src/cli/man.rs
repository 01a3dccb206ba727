//! `man`: the manual page, in the macros of man(7).

use std::fmt::Write;

use super::help::option;
use super::tables::{EXIT_CODES, SIGNALS};
use crate::config::settings::{self, Setting};
use crate::config::verb;

const DESCRIPTION: &str = "\
dutch-master is the first process of a container. It starts COMMAND several times, holds the \
listening sockets that all of them share, and on a signal replaces the running workers by new \
ones: a worker is told to stop only once its successor is ready. A release that does not come \
up is given up on, and the previous one serves on.";

const ENVIRONMENT: &str = "\
Every option is a variable too, with the prefix DUTCH_MASTER_ and underscores; the option wins. \
Space around a value is dropped, and an empty variable counts as not set. An unknown variable with \
that prefix is a warning. Every fault of a start is reported at once, with exit status 78.";

/// The whole page.
pub(crate) fn page() -> String {
    let mut out = String::from(".TH DUTCH\\-MASTER 1 \"\" \"");
    let _ = writeln!(out, "{}\"", escaped(super::VERSION.trim_end()));
    out.push_str(".SH NAME\ndutch\\-master \\- restarts a server without losing a request\n");
    out.push_str(".SH SYNOPSIS\n");
    out.push_str(".B dutch\\-master\n[OPTIONS] [\\-\\-] COMMAND [ARG]...\n");
    for word in verb::VERBS {
        let _ = write!(out, ".br\n.B dutch\\-master {}\n", escaped(word.name));
        if !word.usage.is_empty() {
            let _ = writeln!(out, "{}", escaped(word.usage));
        }
    }
    section(&mut out, "DESCRIPTION", DESCRIPTION);
    out.push_str(".SH VERBS\nA word is a verb only in the first place.\n");
    for word in verb::VERBS {
        term(&mut out, word.name, word.meaning);
    }
    out.push_str(".SH OPTIONS\nOptions end at the first word that is none, the command.\n");
    for group in &settings::GROUPS {
        let _ = writeln!(out, ".SS {}", escaped(group.title));
        for setting in group.shown() {
            setting_entry(&mut out, setting);
        }
    }
    section(&mut out, "ENVIRONMENT", ENVIRONMENT);
    out.push_str(".SH SIGNALS\n");
    for (names, fleet, init) in SIGNALS {
        term(&mut out, names, &format!("{fleet}; under init: {init}"));
    }
    out.push_str(".SH EXIT STATUS\n");
    for (code, meaning) in EXIT_CODES {
        term(&mut out, code, meaning);
    }
    out
}

/// An option, its variable, and all that the table knows.
fn setting_entry(out: &mut String, setting: &Setting) {
    let _ = write!(out, ".TP\n.BR \"{}\"\n", escaped(&option(setting)));
    let _ = writeln!(out, "{}.", escaped(setting.meaning));
    let _ = writeln!(out, "Allowed: {}.", escaped(setting.allowed));
    if !setting.default.is_empty() {
        let _ = writeln!(out, "Default: {}.", escaped(setting.default));
    }
    let _ = writeln!(out, "Variable: {}.", escaped(&setting.variable()));
}

fn section(out: &mut String, title: &str, text: &str) {
    let _ = write!(out, ".SH {title}\n{}\n", escaped(text));
}

fn term(out: &mut String, name: &str, meaning: &str) {
    let _ = write!(out, ".TP\n.B {}\n{}\n", escaped(name), escaped(meaning));
}

/// Text that troff takes as it stands: ASCII, with every dash a dash and no line a request.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '"' => out.push_str("\\(dq"),
            '…' => out.push_str("..."),
            other => out.push(other),
        }
    }
    if out.starts_with(['.', '\'']) { format!("\\&{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::{escaped, page};
    use crate::config::settings;

    #[test]
    fn the_page_holds_every_setting_and_only_known_requests() {
        let page = page();
        for setting in settings::shown() {
            assert!(page.contains(&escaped(&setting.variable())), "{}", setting.name);
        }
        for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
            let request = line.split(' ').next().unwrap();
            assert!([".TH", ".SH", ".SS", ".TP", ".B", ".BR", ".br"].contains(&request), "{line}");
        }
        assert!(page.is_ascii());
    }
}
