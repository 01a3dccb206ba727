//! The formats of the wire, one message or stream at a time.

use dutch_master::wire::{
    control as operators, einhorn,
    line::{Lines, Overlong},
    node::{Inbox, LINE_LIMIT},
    notify::{self as notifications, FD_NAME_LIMIT, Notice, STATUS_LIMIT},
    server_starter,
};

use crate::request::{self, Asked, HEAD_LIMIT};

/// Lines of a worker's channel, in pieces of the first byte's size: the pieces must not matter.
pub fn node(data: &[u8]) {
    let Some((&size, data)) = data.split_first() else { return };
    let messages = |size: usize| {
        let mut inbox = Inbox::default();
        let mut found = vec![];
        for piece in data.chunks(size.max(1)) {
            inbox.feed(piece);
            while let Some(message) = inbox.take_message() {
                found.push(message);
            }
        }
        (found, inbox.is_between_messages())
    };
    assert_eq!(messages(size.into()), messages(LINE_LIMIT));
    lines(size, data);
}

fn lines(size: u8, data: &[u8]) {
    const LIMIT: usize = 16;
    for overlong in [Overlong::Cut, Overlong::Refuse] {
        let mut lines = Lines::new(LIMIT, overlong);
        let mut kept = vec![];
        for piece in data.chunks(usize::from(size).max(1)) {
            lines.feed(piece);
            while let Some(line) = lines.take_line() {
                kept.extend(line.unwrap_or_default());
            }
            assert!(lines.pending() <= LIMIT);
        }
        kept.extend(lines.take_rest().unwrap_or_default());
        if overlong == Overlong::Cut {
            let all: Vec<u8> = data.iter().copied().filter(|byte| *byte != b'\n').collect();
            assert_eq!(kept, all, "a log loses nothing");
        }
    }
}

/// A datagram of a worker.
pub fn notify(data: &[u8]) {
    let _ = (einhorn::parse(data), std::str::from_utf8(data).map(server_starter::parse));
    let Ok(notices) = notifications::parse(data) else { return };
    for notice in notices {
        match notice {
            Notice::Status(text) | Notice::BusError(text) => {
                assert!(text.len() <= STATUS_LIMIT && !text.chars().any(char::is_control));
            }
            Notice::FdName(name) => {
                assert!(name.len() <= FD_NAME_LIMIT && notifications::is_fd_name(&name));
            }
            _ => {}
        }
    }
}

/// A line of an operator's, or of a master's to an operator.
pub fn control(data: &[u8]) {
    match operators::request(data) {
        Ok(request) => {
            let line = operators::ask(&request);
            assert_eq!(operators::request(line.trim_end().as_bytes()), Ok(request));
        }
        Err(problem) => assert!(problem.chars().count() <= 300),
    }
    if let Ok(reply) = operators::reply(data) {
        let line = operators::answer(&reply);
        assert_eq!(operators::reply(line.trim_end().as_bytes()), Ok(reply));
    }
}

/// A request to the metrics' and probes' port, as it comes in byte by byte.
pub fn http(data: &[u8]) {
    let whole = request::parse(data);
    if data.len() >= HEAD_LIMIT {
        assert_ne!(whole, Asked::More, "nobody is waited for without end");
    }
    if let Asked::Get { path, .. } = &whole {
        assert!(!path.contains('?') && path.len() <= data.len());
    }
    // What has been decided stays so, whatever follows.
    for length in (0..data.len().min(HEAD_LIMIT)).step_by(data.len() / 16 + 1) {
        let part = request::parse(&data[..length]);
        assert!(
            part == Asked::More || part == whole || matches!(part, Asked::Bad(_)),
            "{part:?} {whole:?}"
        );
    }
}
