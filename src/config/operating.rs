//! The options and words of the verbs that talk to a running master.

use std::ffi::OsString;

use lexopt::Parser;

use super::{
    signal, units,
    verb::{Change, Verb},
};

/// Their options.
pub(crate) const OPTIONS: [&str; 5] = ["watch", "follow", "no-wait", "timeout", "if-generation"];

/// Whether these verbs have a use for a setting.
pub(crate) fn knows(setting: &str) -> bool {
    setting == "CONTROL"
}

/// Reads an option into the verb that has it; nothing if it has none of this name.
pub(crate) fn option(
    verb: &mut Verb,
    name: &str,
    parser: &mut Parser,
) -> Option<Result<(), String>> {
    let mut is_switch = true;
    let mut result = Ok(());
    match (name, verb) {
        ("json", Verb::Status { json, .. } | Verb::Events { json, .. } | Verb::Doctor { json })
        | ("watch", Verb::Status { watch: json, .. })
        | ("follow", Verb::Events { follow: json, .. }) => *json = true,
        ("no-wait", Verb::Reload { wait, .. } | Verb::Stop { wait }) => *wait = false,
        ("timeout", Verb::Reload { timeout, .. }) => {
            is_switch = false;
            result = value(parser, name, "5m", units::positive).map(|time| *timeout = Some(time));
        }
        ("if-generation", Verb::Reload { if_generation, .. }) => {
            is_switch = false;
            result = value(parser, name, "3", units::number::<u32>)
                .map(|number| *if_generation = Some(number));
        }
        _ => return None,
    }
    if let Some(value) = parser.optional_value().filter(|_| is_switch) {
        result = Err(format!("--{name}={}: takes no value", value.to_string_lossy()));
    }
    Some(result)
}

fn value<T>(
    parser: &mut Parser,
    name: &str,
    example: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, String> {
    let value =
        parser.value().map_err(|_| format!("--{name}: needs a value, as in --{name}={example}"))?;
    let text = value.to_string_lossy();
    parse(text.trim()).map_err(|problem| format!("--{name}={text}: {problem}; as in {example}"))
}

/// Reads the word of `scale` or `signal`.
pub(crate) fn word(verb: Verb, words: &[OsString]) -> Result<Verb, String> {
    let is_scale = matches!(verb, Verb::Scale(_));
    let name = if is_scale { "scale" } else { "signal" };
    let [word] = words else {
        let example = if is_scale { "4, +1 or -1" } else { "USR1" };
        return Err(format!("{name}: needs one word, as in dutch-master {name} {example}"));
    };
    let text = word.to_string_lossy();
    let told = |problem: String| format!("{name} {text}: {problem}");
    if is_scale {
        change(&text).map(Verb::Scale).map_err(told)
    } else {
        signal::any(&text).map(|signal| Verb::Signal(signal.number())).map_err(told)
    }
}

/// `4`, `+1` or `-1`.
fn change(text: &str) -> Result<Change, String> {
    let change = if text.starts_with(['+', '-']) {
        text.parse().ok().filter(|by| *by != 0).map(Change::By)
    } else {
        text.parse().ok().filter(|to| *to != 0).map(Change::To)
    };
    change.ok_or_else(|| "must be a number from 1, or +N or -N".to_owned())
}
