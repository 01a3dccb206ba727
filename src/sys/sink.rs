//! Writes whole lines to a descriptor that others share, and never waits for its reader.
//!
//! Standard output and error usually are one pipe that the workers write to as well, so
//! `O_NONBLOCK` on it would change their side too. We open it once more instead; where that can't
//! be done, we write no more than a pipe takes at once when poll(2) says that it takes anything.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::{Mode, OFlags},
    io::Errno as Raw,
};

use super::Errno;

/// What a pipe takes in one piece when it is writable at all: `PIPE_BUF` of pipe(7).
const PIECE: usize = 4096;
/// What may wait for a slow reader before lines are dropped.
const BACKLOG: usize = 256 * 1024;

/// A bounded queue of lines in front of a descriptor.
#[derive(Debug)]
pub(crate) struct Sink {
    target: OwnedFd,
    is_own: bool,
    backlog: VecDeque<u8>,
    dropped: u64,
}

impl Sink {
    /// A sink in front of a descriptor of ours, which stays open.
    pub(crate) fn new(of: BorrowedFd<'_>) -> Result<Self, Errno> {
        let path = format!("/proc/self/fd/{}", of.as_raw_fd());
        let flags =
            OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let (target, is_own) = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(target) => (target, true),
            Err(_) => (rustix::io::fcntl_dupfd_cloexec(of, 3)?, false),
        };
        Ok(Self { target, is_own, backlog: VecDeque::new(), dropped: 0 })
    }

    /// Writes a line, or keeps it until the reader is ready, or drops it whole and counts it.
    /// However long it is, it has its chance while nothing waits.
    pub(crate) fn write_line(&mut self, line: &[u8]) {
        if !self.backlog.is_empty() && self.backlog.len().saturating_add(line.len()) > BACKLOG {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.backlog.extend(line);
        self.flush();
    }

    /// Writes what the reader takes. Returns whether anything still waits.
    pub(crate) fn flush(&mut self) -> bool {
        while !self.backlog.is_empty() && (self.is_own || self.is_writable()) {
            let (piece, _) = self.backlog.as_slices();
            let piece = piece.get(..PIECE).unwrap_or(piece);
            match rustix::io::write(&self.target, piece) {
                Ok(written) => drop(self.backlog.drain(..written)),
                Err(Raw::INTR) => {}
                Err(Raw::AGAIN) => break,
                // Nobody reads any more, or the disk is full: nothing that waiting would mend.
                Err(_) => {
                    self.backlog.clear();
                    self.dropped = self.dropped.saturating_add(1);
                }
            }
        }
        !self.backlog.is_empty()
    }

    /// Waits for the reader at the very end, so that last words are heard; not for ever.
    pub(crate) fn finish(&mut self, within: Duration) {
        let until = super::clock::now().saturating_add(within);
        while self.flush() {
            let left = until.saturating_sub(super::clock::now());
            let Ok(left) = Timespec::try_from(left) else { return };
            let mut polled = [PollFd::new(&self.target, PollFlags::OUT)];
            if !matches!(rustix::event::poll(&mut polled, Some(&left)), Ok(1) | Err(Raw::INTR)) {
                return;
            }
        }
    }

    /// Whether lines wait for the reader.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// How many lines were dropped since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn is_writable(&self) -> bool {
        let mut polled = [PollFd::new(&self.target, PollFlags::OUT)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(rustix::event::poll(&mut polled, Some(&at_once)), Ok(1))
            && polled.iter().all(|fd| fd.revents().contains(PollFlags::OUT))
    }
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.target.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe() -> (OwnedFd, OwnedFd) {
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap()
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_and_no_time() {
        for is_own in [true, false] {
            let (reader, writer) = pipe();
            let mut sink = Sink::new(writer.as_fd()).unwrap();
            assert!(sink.is_own);
            if !is_own {
                sink = Sink { target: writer.try_clone().unwrap(), is_own, ..sink };
            }
            let line = [b'x'; 1000];
            for _ in 0..1000 {
                sink.write_line(&line);
            }
            assert!(sink.is_waiting() && sink.take_dropped() > 500);
            let mut read = 0;
            let mut buffer = vec![0; 65_536];
            while sink.is_waiting() {
                read += rustix::io::read(&reader, &mut buffer).unwrap();
                sink.flush();
            }
            drop((sink, writer));
            while let Ok(more @ 1..) = rustix::io::read(&reader, &mut buffer) {
                read += more;
            }
            assert_eq!(read % 1000, 0, "whole lines only");
            assert!(read >= 256_000);
        }
    }

    #[test]
    fn a_line_longer_than_the_backlog_has_its_chance_while_nothing_waits() {
        let (_reader, writer) = pipe();
        let mut sink = Sink::new(writer.as_fd()).unwrap();
        let line = vec![b'x'; BACKLOG + 1];
        sink.write_line(&line);
        assert!(sink.is_waiting());
        sink.write_line(&line);
        assert_eq!(sink.take_dropped(), 1);
    }

    #[test]
    fn a_reader_that_left_is_no_reason_to_wait() {
        let (reader, writer) = pipe();
        let mut sink = Sink::new(writer.as_fd()).unwrap();
        drop(reader);
        sink.write_line(b"nobody hears this\n");
        assert!(!sink.is_waiting());
    }
}
