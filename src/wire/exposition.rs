//! Metrics as text: Prometheus' format, and `OpenMetrics` for those who ask for it.
//!
//! The two differ in how a counter's family is called and in the last line. Names and labels are
//! ours; values of labels may hold anything and are escaped.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt::Write;

/// The media type of Prometheus' format.
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The media type of `OpenMetrics`.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How a family's values behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow, but for restarts. The name ends in `_total`.
    Counter,
    /// They go up and down.
    Gauge,
    /// Times, sorted into buckets.
    Histogram,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What is put behind the family's name.
    pub suffix: &'static str,
    /// Names and values of labels.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: Value,
}

/// A number that prints as it was counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A whole one.
    Whole(u64),
    /// Any other.
    Real(f64),
}

/// A name and all its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name, without any suffix.
    pub name: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// What it is, in a sentence without a full stop.
    pub help: &'static str,
    /// Its values.
    pub samples: Vec<Sample>,
}

impl Family {
    /// A family without values.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, help, samples: Vec::new() }
    }

    /// With a whole number more.
    #[must_use]
    pub fn with(self, labels: &[(&'static str, &str)], value: u64) -> Self {
        self.sample("", labels, Value::Whole(value))
    }

    /// With a number of seconds more.
    #[must_use]
    pub fn with_real(self, labels: &[(&'static str, &str)], value: f64) -> Self {
        self.sample("", labels, Value::Real(value))
    }

    /// With a whole histogram more: how many values are in each bucket alone, with the bucket's upper
    /// bound; how many there are, and their sum.
    #[must_use]
    pub fn with_histogram(self, buckets: &[(f64, u64)], count: u64, sum: f64) -> Self {
        let mut family = self;
        let mut below = 0_u64;
        for &(bound, alone) in buckets {
            below = below.saturating_add(alone);
            let bound = real(bound);
            family = family.sample("_bucket", &[("le", &bound)], Value::Whole(below));
        }
        family
            .sample("_bucket", &[("le", "+Inf")], Value::Whole(count))
            .sample("_sum", &[], Value::Real(sum))
            .sample("_count", &[], Value::Whole(count))
    }

    fn sample(
        mut self,
        suffix: &'static str,
        labels: &[(&'static str, &str)],
        value: Value,
    ) -> Self {
        let labels = labels.iter().map(|&(name, text)| (name, text.to_string())).collect();
        self.samples.push(Sample { suffix, labels, value });
        self
    }
}

/// All families as one text.
#[must_use]
pub fn render(families: &[Family], is_openmetrics: bool) -> String {
    let mut out = String::new();
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        let (kind, total) = match family.kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
            Kind::Histogram => ("histogram", ""),
        };
        let name = family.name;
        let shown = if is_openmetrics { "" } else { total };
        let _ = writeln!(out, "# HELP {name}{shown} {}", family.help);
        let _ = writeln!(out, "# TYPE {name}{shown} {kind}");
        for sample in &family.samples {
            let _ = write!(out, "{name}{total}{}", sample.suffix);
            labels(&mut out, &sample.labels);
            let _ = match sample.value {
                Value::Whole(number) => writeln!(out, " {number}"),
                Value::Real(number) => writeln!(out, " {}", real(number)),
            };
        }
    }
    if is_openmetrics {
        out.push_str("# EOF\n");
    }
    out
}

/// As both parsers like it: `0.5`, `1.0`.
fn real(number: f64) -> String {
    format!("{number:?}")
}

fn labels(out: &mut String, labels: &[(&'static str, String)]) {
    for (index, (name, text)) in labels.iter().enumerate() {
        let opening = if index == 0 { '{' } else { ',' };
        let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(out, "{opening}{name}=\"{text}\"");
    }
    if !labels.is_empty() {
        out.push('}');
    }
}
