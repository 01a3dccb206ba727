//! One request, sent once, and the one class that its outcome falls into.

use std::{
    io::{self, ErrorKind, Write},
    time::Duration,
};

use crate::{
    http::{Fault, Head, Reader},
    stream::{Address, Idle, Stream},
};

/// What became of one request. Nothing is ever sent twice to make it look better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The whole answer came and was right.
    Ok,
    /// Nobody listened.
    Refused,
    /// The connection was reset before the request was out.
    ResetBeforeSend,
    /// The connection was reset after the request was out and before the answer's end.
    ResetAfterSend,
    /// The server closed without a byte of an answer.
    NoAnswer,
    /// The server closed in the middle of its answer.
    Truncated,
    /// No answer in time.
    Timeout,
    /// An answer with another status.
    WrongStatus,
    /// An answer with another body, or no HTTP.
    WrongBody,
    /// On a connection that had served before, the server closed without a byte of an answer:
    /// it may have closed before it saw the request. Only a keep-alive client sees this.
    Reused,
    /// This machine had no port or descriptor left: the fault of the test.
    Local,
}

impl Class {
    /// Every class, in the order of the report.
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::Refused,
        Self::ResetBeforeSend,
        Self::ResetAfterSend,
        Self::NoAnswer,
        Self::Truncated,
        Self::Timeout,
        Self::WrongStatus,
        Self::WrongBody,
        Self::Reused,
        Self::Local,
    ];

    /// The name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::ResetBeforeSend => "reset_before_send",
            Self::ResetAfterSend => "reset_after_send",
            Self::NoAnswer => "no_answer",
            Self::Truncated => "truncated",
            Self::Timeout => "timeout",
            Self::WrongStatus => "wrong_status",
            Self::WrongBody => "wrong_body",
            Self::Reused => "reused",
            Self::Local => "local",
        }
    }
}

/// What is asked, and what the answer must be.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where.
    pub address: Address,
    /// The path and query; `{id}` becomes a number that is new for every request.
    pub path: String,
    /// A text that the body must contain; `{id}` as above.
    pub expect: Option<String>,
    /// How long a connect, a read or a write may take.
    pub timeout: Duration,
}

/// An answer and its class.
#[derive(Debug)]
pub struct Outcome {
    /// The class.
    pub class: Class,
    /// The answer's head and body, where it came whole.
    pub answer: Option<(Head, String)>,
}

/// A connection that has served a request and may serve another.
#[derive(Debug)]
pub struct Kept {
    stream: Stream,
    reader: Reader,
}

impl Kept {
    /// What the connection looks like before the next request is written.
    pub fn idle(&self) -> Idle {
        if self.reader.left_over() > 0 { Idle::Unasked } else { self.stream.idle() }
    }
}

/// Sends one request on a connection of its own, which the server is asked to close.
pub fn one_shot(request: &Request, id: u64) -> Outcome {
    match open(request) {
        Ok(mut connection) => judge(exchange(&mut connection, request, id, false), false),
        Err(class) => Outcome { class, answer: None },
    }
}

/// Sends one request on `kept`, or on a new connection; returns the connection where it lives on.
pub fn keep_alive(request: &Request, id: u64, kept: Option<Kept>) -> (Outcome, Option<Kept>) {
    let reused = kept.is_some();
    let mut connection = match kept.map_or_else(|| open(request), Ok) {
        Ok(connection) => connection,
        Err(class) => return (Outcome { class, answer: None }, None),
    };
    let outcome = judge(exchange(&mut connection, request, id, true), reused);
    let lives_on = outcome.answer.as_ref().is_some_and(|(head, _)| !head.closes());
    (outcome, lives_on.then_some(connection))
}

enum Failure {
    Send(io::Error),
    Read(Fault),
    Status(Head, String),
    Body(Head, String),
}

fn open(request: &Request) -> Result<Kept, Class> {
    let stream =
        Stream::connect(&request.address, request.timeout).map_err(|error| match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Class::Timeout,
            ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => Class::Local,
            ErrorKind::ConnectionReset => Class::ResetBeforeSend,
            _ => Class::Refused,
        })?;
    Ok(Kept { stream, reader: Reader::default() })
}

fn exchange(
    connection: &mut Kept,
    request: &Request,
    id: u64,
    keep: bool,
) -> Result<(Head, String), Failure> {
    let id = id.to_string();
    let path = request.path.replace("{id}", &id);
    let kind = if keep { "keep-alive" } else { "close" };
    let text = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {kind}\r\n\r\n");
    connection.stream.write_all(text.as_bytes()).map_err(Failure::Send)?;
    let head = connection.reader.head(&mut connection.stream).map_err(Failure::Read)?;
    let body = connection.reader.body(&head, &mut connection.stream).map_err(Failure::Read)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    if head.status() != Some(200) {
        return Err(Failure::Status(head, body));
    }
    if request.expect.as_ref().is_some_and(|text| !body.contains(&text.replace("{id}", &id))) {
        return Err(Failure::Body(head, body));
    }
    Ok((head, body))
}

fn judge(result: Result<(Head, String), Failure>, reused: bool) -> Outcome {
    let class = match result {
        Ok(answer) => return Outcome { class: Class::Ok, answer: Some(answer) },
        Err(Failure::Status(head, body)) => {
            return Outcome { class: Class::WrongStatus, answer: Some((head, body)) };
        }
        Err(Failure::Body(head, body)) => {
            return Outcome { class: Class::WrongBody, answer: Some((head, body)) };
        }
        Err(Failure::Send(error)) if timed_out(&error) => Class::Timeout,
        Err(Failure::Read(Fault::Io(error, _))) if timed_out(&error) => Class::Timeout,
        Err(Failure::Send(_) | Failure::Read(Fault::Nothing | Fault::Io(_, 0))) if reused => {
            Class::Reused
        }
        Err(Failure::Send(_)) => Class::ResetBeforeSend,
        Err(Failure::Read(Fault::Io(..))) => Class::ResetAfterSend,
        Err(Failure::Read(Fault::Nothing)) => Class::NoAnswer,
        Err(Failure::Read(Fault::Truncated)) => Class::Truncated,
        Err(Failure::Read(Fault::Malformed(_))) => Class::WrongBody,
    };
    Outcome { class, answer: None }
}

fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
