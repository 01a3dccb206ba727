//! The log: one line a fact or decision, on standard error, in the format that was asked for.
//!
//! A line never waits for its reader: see [`crate::sys::sink`].

mod format;

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets, fmt::MakeWriter, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{
    config::{Level, Log, LogFormat},
    sys::sink::Sink,
};

/// A sink that the log and the loop share.
pub(crate) type SharedSink = Arc<Mutex<Sink>>;

/// Does something with the sink; a poisoned lock is no reason to stay silent.
pub(crate) fn with_sink<T>(sink: &SharedSink, what: impl FnOnce(&mut Sink) -> T) -> T {
    what(&mut sink.lock().unwrap_or_else(PoisonError::into_inner))
}

/// From here on, what is logged goes to `sink`.
pub(crate) fn start(settings: &Log, format: LogFormat, is_terminal: bool, sink: SharedSink) {
    let look = match (format, is_terminal) {
        (LogFormat::Pretty, _) | (LogFormat::Auto, true) => format::Look::Pretty { is_terminal },
        (LogFormat::Json, _) | (LogFormat::Auto, false) => format::Look::Json,
        (LogFormat::Bunyan, _) => format::Look::bunyan(),
    };
    let targets =
        settings.targets.iter().fold(
            Targets::new().with_default(filter(settings.level)),
            |targets, (target, level)| targets.with_target(target.as_str(), filter(*level)),
        );
    let lines = tracing_subscriber::fmt::layer()
        .event_format(format::Lines(look))
        .with_ansi(is_terminal)
        .with_writer(ToSink(sink));
    // A second subscriber can't be: main calls this once.
    let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
}

const fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

#[derive(Debug)]
struct ToSink(SharedSink);

/// Gathers one event's text; tracing-subscriber writes each in one piece.
struct Line<'a>(&'a SharedSink);

impl<'a> MakeWriter<'a> for ToSink {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

impl Write for Line<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        with_sink(self.0, |sink| sink.write_line(text));
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
