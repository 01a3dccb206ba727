//! `config`: every setting with its value, where it came from, its default and its meaning.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::config::settings;
use crate::config::{Row, Source};

/// For people, and for grep: the first line of a setting is `VARIABLE=value`.
pub(crate) fn text(rows: &[Row]) -> String {
    let mut out = String::new();
    for group in &settings::GROUPS {
        let _ = writeln!(out, "{}{}", if out.is_empty() { "" } else { "\n" }, group.title);
        let mine = |row: &&Row| group.settings.iter().any(|s| s.name == row.setting.name);
        for row in rows.iter().filter(mine) {
            let _ = writeln!(out, "  {}{}", row.variable, value(row));
            let _ = writeln!(out, "      {}: {}", origin(row), row.setting.meaning);
        }
    }
    out
}

/// The value behind the variable's name.
fn value(row: &Row) -> String {
    match &row.value {
        Some(value) => format!("={}", crate::config::printable(value)),
        None if row.source == Source::Default => " (not set)".to_owned(),
        None => " (set, not shown)".to_owned(),
    }
}

/// Where the value came from, and what it would be otherwise.
fn origin(row: &Row) -> String {
    match (row.source, row.setting.default) {
        (Source::Default, _) => "default".to_owned(),
        (source, "") => format!("from the {}", source.name()),
        (source, default) => format!("from the {}, default {default}", source.name()),
    }
}

/// For programs: one JSON object.
pub(crate) fn json(rows: &[Row]) -> String {
    let settings: Vec<Value> = rows
        .iter()
        .map(|row| {
            let default = Some(row.setting.default).filter(|default| !default.is_empty());
            json!({
                "variable": row.variable,
                "flag": format!("--{}", row.setting.flag()),
                "value": row.value,
                "secret": row.setting.is_secret(),
                "source": row.source.name(),
                "default": default,
                "meaning": row.setting.meaning,
                "allowed": row.setting.allowed,
            })
        })
        .collect();
    format!("{:#}\n", json!({ "settings": settings }))
}
