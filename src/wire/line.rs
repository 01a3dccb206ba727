//! Bytes in, whole lines out, with a bound on what an unfinished line may hold.
//!
//! Feed what was read, then take lines until there is none: the buffer never holds more than one
//! unfinished line of at most `limit` bytes and what was fed since lines were last taken.

use alloc::vec::Vec;
use core::fmt;

/// What to do with a line that grows past the limit before it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlong {
    /// Report it once, then drop the rest of it (a protocol: its peer is faulty).
    Refuse,
    /// Hand it out in pieces of the limit's length (a log: every byte counts).
    Cut,
}

/// A line that had no end within the limit; the rest of it will be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong {
    /// How many bytes a line may have.
    pub limit: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a line of more than {} bytes", self.limit)
    }
}

impl core::error::Error for TooLong {}

/// Splits a stream of bytes into lines.
#[derive(Debug, Clone)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Everything before this has been handed out.
    start: usize,
    /// No line ends between `start` and here, so that a byte is looked at once.
    searched: usize,
    limit: usize,
    overlong: Overlong,
    /// Inside a refused line, whose end has not come yet.
    skipping: bool,
}

impl Lines {
    /// An empty buffer for lines of at most `limit` bytes, not counting their newline.
    #[must_use]
    pub const fn new(limit: usize, overlong: Overlong) -> Self {
        Self { buffer: Vec::new(), start: 0, searched: 0, limit, overlong, skipping: false }
    }

    /// Adds bytes as they were read. Take every line before feeding again.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.searched = self.searched.saturating_sub(self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next line without its newline, or word that one was refused; nothing when more bytes are
    /// needed.
    pub fn take_line(&mut self) -> Option<Result<Vec<u8>, TooLong>> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            let end = unsearched
                .iter()
                .position(|&byte| byte == b'\n')
                .map(|at| self.searched.saturating_add(at));
            let length = end.unwrap_or(self.buffer.len()).saturating_sub(self.start);
            if self.skipping {
                self.advance(end);
                self.skipping = end.is_none();
                end?;
            } else if length > self.limit {
                return Some(self.overflow(end));
            } else if let Some(end) = end {
                let line = self.buffer.get(self.start..end).unwrap_or_default().to_vec();
                self.advance(Some(end));
                return Some(Ok(line));
            } else {
                self.searched = self.buffer.len();
                return None;
            }
        }
    }

    /// The unfinished line at the end of a stream, or nothing when there is none.
    pub fn take_rest(&mut self) -> Option<Vec<u8>> {
        let rest = self.buffer.get(self.start..).unwrap_or_default().to_vec();
        self.advance(None);
        let skipped = core::mem::take(&mut self.skipping);
        (!rest.is_empty() && !skipped).then_some(rest)
    }

    /// How many bytes wait for their line to end.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len().saturating_sub(self.start)
    }

    fn overflow(&mut self, end: Option<usize>) -> Result<Vec<u8>, TooLong> {
        if self.overlong == Overlong::Cut {
            let upto = self.start.saturating_add(self.limit);
            let piece = self.buffer.get(self.start..upto).unwrap_or_default().to_vec();
            self.start = upto;
            self.searched = self.searched.max(upto);
            return Ok(piece);
        }
        self.skipping = end.is_none();
        self.advance(end);
        Err(TooLong { limit: self.limit })
    }

    /// Forgets everything up to and with the newline at `end`, or all of it.
    fn advance(&mut self, end: Option<usize>) {
        self.start = end.map_or(self.buffer.len(), |end| end.saturating_add(1));
        self.searched = self.start;
    }
}
