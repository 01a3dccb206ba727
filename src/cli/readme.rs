//! The README's tables, which are made from the code; `UPDATE_README=1 cargo test readme` writes
//! them anew.
#![cfg(test)]

use std::fmt::Write;

use super::tables::{EXIT_CODES, SIGNALS};
use crate::config::settings;

/// Text that stays within its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

fn settings_table() -> String {
    let mut out = String::from("| variable (`DUTCH_MASTER_…`) | default | meaning | allowed |\n");
    out.push_str("| --- | --- | --- | --- |\n");
    for setting in settings::shown() {
        let name = if setting.is_family() {
            format!("{}…", setting.name)
        } else {
            setting.name.to_owned()
        };
        let default = match setting.default {
            "" => "–".to_owned(),
            default => format!("`{default}`"),
        };
        let (meaning, allowed) = (cell(setting.meaning), cell(setting.allowed));
        let _ = writeln!(out, "| `{name}` | {default} | {meaning} | {allowed} |");
    }
    out
}

fn signals_table() -> String {
    let mut out = String::from("| signal | supervising | `init` |\n| --- | --- | --- |\n");
    for (names, fleet, init) in SIGNALS {
        let _ = writeln!(out, "| {} | {} | {} |", cell(names), cell(fleet), cell(init));
    }
    out
}

fn exits_table() -> String {
    let mut out = String::from("| exit code | meaning |\n| --- | --- |\n");
    for (code, meaning) in EXIT_CODES {
        let _ = writeln!(out, "| {code} | {} |", cell(meaning));
    }
    out
}

/// The text with what stands between the markers of `name` replaced.
fn with_table(text: &str, name: &str, table: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{table}\n{end}{after}"))
}

#[test]
fn the_readme_holds_the_tables_of_the_code_in_at_most_250_lines() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let found = std::fs::read_to_string(path).unwrap();
    let mut wanted = found.clone();
    for (name, table) in
        [("settings", settings_table()), ("signals", signals_table()), ("exits", exits_table())]
    {
        wanted = with_table(&wanted, name, &table).unwrap_or_else(|| panic!("no markers: {name}"));
    }
    #[expect(clippy::disallowed_methods, reason = "a wish of whoever runs the tests")]
    let is_update = std::env::var_os("UPDATE_README").is_some();
    if is_update && wanted != found {
        std::fs::write(path, &wanted).unwrap();
    } else {
        assert!(wanted == found, "run UPDATE_README=1 cargo test readme");
    }
    assert!(wanted.lines().count() <= 250, "the README is longer than 250 lines");
}
