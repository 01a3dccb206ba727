//! One event to one line: for people, as JSON, or as the bunyan tools expect it.

use std::fmt;

use serde_json::{Map, Value};
use tracing::{Event, Level, Subscriber, field::Field};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// How a line looks.
#[derive(Debug)]
pub(super) enum Look {
    /// For people.
    Pretty {
        /// Whether colours mean anything there.
        is_terminal: bool,
    },
    /// One JSON object a line.
    Json,
    /// JSON with bunyan's core fields (version 0 of its record format).
    Bunyan {
        /// The host's name, which bunyan's tools insist on.
        hostname: String,
    },
}

impl Look {
    pub(super) fn bunyan() -> Self {
        Self::Bunyan { hostname: crate::sys::host::hostname() }
    }
}

#[derive(Debug)]
pub(super) struct Lines(pub(super) Look);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let line = Line { time, level: *metadata.level(), target: metadata.target(), fields };
        match &self.0 {
            Look::Pretty { is_terminal } => line.pretty(writer, *is_terminal),
            Look::Json => line.json(writer),
            Look::Bunyan { hostname } => line.bunyan(writer, hostname),
        }
    }
}

/// An event's message and its other fields, in the order in which they were written.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn note(&mut self, field: &Field, value: Value) {
        self.others.push((field.name(), value));
    }
}

impl tracing::field::Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.note(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.note(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.note(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.note(field, text.into());
        }
    }
}

struct Line<'a> {
    time: String,
    level: Level,
    target: &'a str,
    fields: Fields,
}

impl Line<'_> {
    fn pretty(&self, mut writer: Writer<'_>, colours: bool) -> fmt::Result {
        let (dim, colour, plain) = match (colours, self.level) {
            (false, _) => ("", "", ""),
            (true, Level::ERROR) => ("\x1b[2m", "\x1b[31m", "\x1b[0m"),
            (true, Level::WARN) => ("\x1b[2m", "\x1b[33m", "\x1b[0m"),
            (true, _) => ("\x1b[2m", "\x1b[32m", "\x1b[0m"),
        };
        write!(writer, "{dim}{}{plain} {colour}{:>5}{plain} ", self.time, self.level)?;
        write!(writer, "{}", self.fields.message.escape_debug())?;
        for (name, value) in &self.fields.others {
            match value {
                Value::String(text) if text.contains(char::is_whitespace) || text.is_empty() => {
                    write!(writer, " {dim}{name}={plain}{text:?}")?;
                }
                Value::String(text) => {
                    write!(writer, " {dim}{name}={plain}{}", text.escape_debug())?;
                }
                other => write!(writer, " {dim}{name}={plain}{other}")?,
            }
        }
        writeln!(writer)
    }

    fn json(&self, mut writer: Writer<'_>) -> fmt::Result {
        let level = self.level.as_str().to_ascii_lowercase();
        let message = Value::from(self.fields.message.as_str());
        write!(
            writer,
            r#"{{"time":"{}","level":"{level}","target":"{}","message":{message}"#,
            self.time, self.target
        )?;
        for (name, value) in &self.fields.others {
            write!(writer, r#","{name}":{value}"#)?;
        }
        writeln!(writer, "}}")
    }

    fn bunyan(&self, mut writer: Writer<'_>, hostname: &str) -> fmt::Result {
        let level = match self.level {
            Level::ERROR => 50,
            Level::WARN => 40,
            Level::INFO => 30,
            Level::DEBUG => 20,
            Level::TRACE => 10,
        };
        let mut record = Map::new();
        let mut put = |name: &str, value: Value| drop(record.insert(name.to_owned(), value));
        for (name, value) in &self.fields.others {
            put(bunyan_field(name), value.clone());
        }
        put("name", "dutch-master".into());
        put("hostname", hostname.into());
        put("pid", std::process::id().into());
        put("level", level.into());
        put("msg", bunyan_message(&self.fields.message, &self.fields.others).into());
        put("time", self.time.as_str().into());
        put("v", 0.into());
        writeln!(writer, "{}", Value::Object(record))
    }
}

/// `pid` is the logger's own in bunyan; the original library named the worker's `workerPid`.
fn bunyan_field(name: &str) -> &str {
    match name {
        "worker" => "workerId",
        "pid" => "workerPid",
        "time" | "level" | "msg" | "v" | "name" | "hostname" => "detail",
        other => other,
    }
}

/// What the original library said, for whoever watches for it.
fn bunyan_message<'a>(message: &'a str, others: &[(&str, Value)]) -> &'a str {
    let is = |name: &str, value: &str| others.iter().any(|(have, is)| *have == name && is == value);
    let is_boot = others.iter().any(|(name, value)| *name == "boot" && *value == true);
    match message {
        "every worker ready" if is_boot => "Cluster ready",
        "every worker ready" => "Restart complete",
        "starting" => "Starting cluster",
        "worker starting" => "Creating new worker",
        "worker ready" => "Worker listening",
        "roll requested" => "Restart requested",
        "draining worker" if is("why", "stop") => "Stopping worker",
        "draining worker" => "Restarting worker",
        "worker disconnected" => "Worker disconnected",
        "worker exited" => "Worker exited",
        "stopping" => "Shutdown requested",
        "stopped" => "Cluster shutdown cleanly",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line<'static> {
        let others = vec![("worker", 3.into()), ("pid", 77.into()), ("why", "it \"left\"".into())];
        let fields = Fields { message: "worker exited".to_owned(), others };
        Line {
            time: "2026-01-01T00:00:00Z".to_owned(),
            level: Level::WARN,
            target: "worker",
            fields,
        }
    }

    fn text(write: impl FnOnce(Writer<'_>) -> fmt::Result) -> String {
        let mut text = String::new();
        write(Writer::new(&mut text)).unwrap();
        text
    }

    #[test]
    fn pretty_quotes_what_has_blanks() {
        assert_eq!(
            text(|writer| line().pretty(writer, false)),
            "2026-01-01T00:00:00Z  WARN worker exited worker=3 pid=77 why=\"it \\\"left\\\"\"\n"
        );
    }

    #[test]
    fn json_is_one_object_a_line() {
        let value: Value = serde_json::from_str(&text(|writer| line().json(writer))).unwrap();
        assert_eq!(value["level"], "warn");
        assert_eq!(value["message"], "worker exited");
        assert_eq!(value["pid"], 77);
        assert_eq!(value["why"], "it \"left\"");
    }

    #[test]
    fn bunyan_keeps_the_original_words_and_its_own_pid() {
        let look = text(|writer| line().bunyan(writer, "box"));
        let value: Value = serde_json::from_str(&look).unwrap();
        assert_eq!((&value["v"], &value["level"]), (&0.into(), &40.into()));
        assert_eq!(value["msg"], "Worker exited");
        assert_eq!((&value["workerId"], &value["workerPid"]), (&3.into(), &77.into()));
        assert_eq!(value["pid"], std::process::id());
    }
}
