//! How a test worker is told to behave: `name=value` words on its command line, and in a file
//! `mode` of its working directory, which a new release can change.

use std::{collections::BTreeMap, env, fs, time::Duration};

/// The words, the file's after and over the command line's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knobs(BTreeMap<String, String>);

impl Knobs {
    /// What this process was told.
    pub fn here() -> Self {
        let words = env::args().skip(1).collect::<Vec<_>>().join("\n");
        let mut knobs = Self::parse(&words);
        let file = knobs.text("mode-file").unwrap_or("mode").to_owned();
        if let Ok(text) = fs::read_to_string(file) {
            knobs.0.extend(Self::parse(&text).0);
        }
        knobs
    }

    /// Words that white space parts; one without `=` is on.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, "1")));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The value as it stands.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether the knob is there and neither `0` nor `off`.
    pub fn is_on(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| !matches!(value, "0" | "off"))
    }

    /// A number; a test that mistypes one must not pass.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name)
            .map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value}: no number")))
    }

    /// A number of milliseconds.
    pub fn millis(&self, name: &str) -> Option<Duration> {
        self.number(name).map(Duration::from_millis)
    }
}
