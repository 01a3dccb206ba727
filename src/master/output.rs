//! What workers print: left alone, or gathered into whole lines that no reader can hold up.

use std::{collections::VecDeque, os::fd::OwnedFd};

use dutch_master::wire::line::{Lines, Overlong};
use serde_json::json;

use crate::{
    config::Output,
    log::{SharedSink, with_sink},
    sys::host::{self, PipeRead},
};

/// A longer line is cut: no program's log may grow our memory.
const LONGEST_LINE: usize = 64 * 1024;
/// How often a worker's pipe is read in one turn, so that a chatty worker delays nobody.
const READS_A_TURN: usize = 4;
/// How many of a worker's last lines are kept for `events`.
const RECENT: usize = 10;
/// How much of each.
const RECENT_LENGTH: usize = 300;

/// Standard output or standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Descriptor 1.
    Out,
    /// Descriptor 2.
    Err,
}

/// Our end of one stream of one worker.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) stream: Stream,
    pub(crate) pipe: OwnedFd,
    lines: Lines,
}

/// Who printed a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    pub(crate) slot: u16,
    pub(crate) worker: u64,
    pub(crate) pid: u32,
    pub(crate) generation: u32,
}

impl Outlet {
    pub(crate) fn new(stream: Stream, pipe: OwnedFd) -> Self {
        Self { stream, pipe, lines: Lines::new(LONGEST_LINE, Overlong::Cut) }
    }

    /// Passes on what has come. Returns whether more may come.
    pub(crate) fn pump(
        &mut self,
        by: Printer,
        how: Output,
        to: &SharedSink,
        recent: &mut VecDeque<String>,
    ) -> bool {
        for _ in 0..READS_A_TURN {
            match host::read_pipe(&self.pipe) {
                PipeRead::Bytes(bytes) => {
                    self.lines.feed(&bytes);
                    while let Some(line) = self.lines.take_line() {
                        let line = line.unwrap_or_default();
                        keep(&line, recent);
                        print(&line, self.stream, by, how, to);
                    }
                }
                PipeRead::Nothing => return true,
                PipeRead::End => {
                    self.finish(by, how, to, recent);
                    return false;
                }
            }
        }
        true
    }

    /// Passes on a last line that has no end.
    fn finish(&mut self, by: Printer, how: Output, to: &SharedSink, recent: &mut VecDeque<String>) {
        if let Some(rest) = self.lines.take_rest() {
            keep(&rest, recent);
            print(&rest, self.stream, by, how, to);
        }
    }
}

/// Remembers the beginning of a line in place of the oldest.
fn keep(line: &[u8], recent: &mut VecDeque<String>) {
    if recent.len() >= RECENT {
        recent.pop_front();
    }
    let beginning = line.get(..RECENT_LENGTH).unwrap_or(line);
    recent.push_back(String::from_utf8_lossy(beginning).into_owned());
}

fn print(line: &[u8], stream: Stream, by: Printer, how: Output, to: &SharedSink) {
    let mut text = match how {
        Output::Inherit | Output::Lines => line.to_vec(),
        Output::Prefix => [format!("[{}:{}] ", by.slot, by.pid).as_bytes(), line].concat(),
        Output::Json => json!({
            "slot": by.slot,
            "worker": by.worker,
            "pid": by.pid,
            "generation": by.generation,
            "stream": if stream == Stream::Out { "stdout" } else { "stderr" },
            "line": String::from_utf8_lossy(line),
        })
        .to_string()
        .into_bytes(),
    };
    text.push(b'\n');
    with_sink(to, |sink| sink.write_line(&text));
}
