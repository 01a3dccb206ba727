//! One connected operator: what it has sent, what it is still to get, and what it waits for.
//!
//! Bounded in every way: one request at a time, of limited length and within a time; replies wait
//! in a buffer of limited size for a reader that must not stall.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use dutch_master::{
    Generation,
    wire::{
        control::{self, Progress, REPLY_LIMIT, REQUEST_LIMIT, Reply, Request},
        line::{Lines, Overlong},
    },
};

use crate::sys::{
    host::{self, PipeRead},
    local::{self, Sent},
    poll::Interest,
};

/// How long a client may take to ask, and to take more of a reply.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one who has asked before may think about what to ask next.
const PAUSE: Duration = Duration::from_secs(30);

/// What a client speaks, and what it has said of its next request.
#[derive(Debug)]
pub(crate) enum Speech {
    Control(Lines),
    Http(Vec<u8>),
}

/// What a client waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// For us to read its request.
    Asking,
    /// The end of a roll: of the generation that comes of the request after so many.
    Roll { requests: u64, target: Option<Generation>, told: Option<Progress> },
    /// Our end.
    Stop,
    /// Whatever happens, from this number on.
    Events(u64),
    /// Only what is in its buffer.
    Nothing,
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    fd: OwnedFd,
    speech: Speech,
    pub(crate) waits: Waits,
    /// Who it is, for the log.
    pub(crate) name: String,
    output: Vec<u8>,
    /// When we lose patience; never while it is we who have something to tell.
    by: Option<Duration>,
    /// It will send no more.
    is_ended: bool,
    is_gone: bool,
}

impl Client {
    pub(crate) fn new(fd: OwnedFd, is_http: bool, name: String, now: Duration) -> Self {
        let speech = if is_http {
            Speech::Http(Vec::new())
        } else {
            Speech::Control(Lines::new(REQUEST_LIMIT, Overlong::Refuse))
        };
        let by = Some(now.saturating_add(PATIENCE));
        let (is_ended, is_gone) = (false, false);
        let output = Vec::new();
        Self { fd, speech, waits: Waits::Asking, name, output, by, is_ended, is_gone }
    }

    pub(crate) const fn is_http(&self) -> bool {
        matches!(self.speech, Speech::Http(_))
    }

    /// Whether it has nothing to get and has asked for nothing.
    pub(crate) fn is_silent(&self) -> bool {
        self.waits == Waits::Asking && self.output.is_empty()
    }

    pub(crate) const fn deadline(&self) -> Option<Duration> {
        self.by
    }

    /// Takes in what it has sent. Who talks while we answer is sent away.
    pub(crate) fn read(&mut self) {
        if !self.output.is_empty() {
            return;
        }
        match host::read_pipe(&self.fd) {
            PipeRead::Nothing => {}
            PipeRead::End => {
                self.is_ended = true;
                self.is_gone |= host::has_hung_up(&self.fd);
            }
            PipeRead::Bytes(_) if self.waits != Waits::Asking => self.is_gone = true,
            PipeRead::Bytes(bytes) => match &mut self.speech {
                Speech::Control(lines) => lines.feed(&bytes),
                Speech::Http(head) => head.extend(bytes),
            },
        }
    }

    /// The head of its HTTP request so far.
    pub(crate) fn head(&self) -> Option<&[u8]> {
        match &self.speech {
            Speech::Http(head) if self.waits == Waits::Asking => Some(head),
            _ => None,
        }
    }

    /// The request that it has made over the control socket, or what is wrong with it.
    pub(crate) fn take_request(&mut self) -> Option<Result<Request, String>> {
        let Speech::Control(lines) = &mut self.speech else { return None };
        let line = lines.take_line().filter(|_| self.waits == Waits::Asking)?;
        if lines.pending() > 0 {
            return Some(Err("one request at a time".to_owned()));
        }
        Some(line.map_err(|error| error.to_string()).and_then(|line| control::request(&line)))
    }

    /// Puts a reply on its way.
    pub(crate) fn reply(&mut self, reply: &Reply, now: Duration) {
        if reply.is_last() {
            self.waits = Waits::Asking;
        }
        self.put(control::answer(reply).as_bytes(), now);
    }

    /// Puts bytes on their way.
    pub(crate) fn put(&mut self, bytes: &[u8], now: Duration) {
        if self.output.is_empty() {
            self.by = Some(now.saturating_add(PATIENCE));
        }
        self.output.extend(bytes);
        self.is_gone |= self.output.len() > REPLY_LIMIT.saturating_mul(2);
    }

    /// Says what is wrong, then nothing more.
    pub(crate) fn turn_away(&mut self, problem: String, now: Duration) {
        self.reply(&Reply::Refused { problem }, now);
        self.waits = Waits::Nothing;
    }

    /// Sends what the other side takes.
    pub(crate) fn flush(&mut self, now: Duration) {
        while !self.output.is_empty() && !self.is_gone {
            match local::send(&self.fd, &self.output) {
                Sent::Bytes(length) => {
                    self.output.drain(..length.min(self.output.len()));
                    self.by = Some(now.saturating_add(PATIENCE));
                }
                Sent::Nothing => return,
                Sent::Gone => self.is_gone = true,
            }
            if self.output.is_empty() {
                let is_asking = self.waits == Waits::Asking;
                self.by = is_asking.then(|| now.saturating_add(PAUSE));
            }
        }
    }

    /// Nothing waits for its reader, so it may wait for us as long as it likes.
    pub(crate) fn wait_patiently(&mut self) {
        if self.output.is_empty() {
            self.by = None;
        }
    }

    /// Whether there is no more to do for it. Who only says that it will ask no more, as
    /// `echo … | nc -N` does, still waits for its answer.
    pub(crate) fn is_over(&self, now: Duration) -> bool {
        let is_served = match self.waits {
            Waits::Nothing => true,
            Waits::Asking => self.is_ended,
            Waits::Roll { .. } | Waits::Stop | Waits::Events(_) => false,
        };
        self.is_gone || self.by.is_some_and(|by| by <= now) || (is_served && self.output.is_empty())
    }

    /// What to wait for: room for what it is to get, else what it has to say.
    pub(crate) fn interest(&self) -> Interest {
        match (self.output.is_empty(), self.is_ended) {
            (false, _) => Interest::Write,
            (true, false) => Interest::Read,
            // The end of what it says can be read for ever.
            (true, true) => Interest::Hangup,
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
