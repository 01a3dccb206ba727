//! The verbs that talk to a running master: each asks, shows, and makes an exit code of the answer.

use std::{
    io::{self, Write},
    time::Duration,
};

use dutch_master::wire::control::{Finding, Gravity, Reply, Request};

use super::{
    client::{self, Connection, Problem},
    screen::{self, Look},
};
use crate::{
    config::{Change, Control, Verb},
    sys::{clock, terminal::Resizes},
};

/// The exit code of a "no", whatever the reason.
const EXIT_NO: u8 = 1;
/// How often `--watch` looks.
const FRAME: Duration = Duration::from_secs(1);

/// Where an answer goes.
#[derive(Debug)]
pub(crate) struct Outputs<O, E> {
    /// Standard output.
    pub(crate) out: O,
    /// Standard error.
    pub(crate) err: E,
    /// Whether the first of them is a terminal.
    pub(crate) is_terminal: bool,
    /// How things are shown there; asked anew for each frame.
    pub(crate) look: fn(bool) -> Look,
    /// Whether colours are welcome.
    pub(crate) has_colour: bool,
}

/// Why a verb ends before its answer is shown.
enum Stop {
    /// There is no answer.
    Problem(Problem),
    /// Whoever reads our output has read enough.
    Closed,
    /// The master says no.
    Refused(String),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// Does what a verb asks for; nothing if it is none of these. Returns the exit code.
pub(crate) fn run<O: Write, E: Write>(
    verb: Verb,
    control: &Control,
    mut to: Outputs<O, E>,
) -> Option<u8> {
    let outcome = match verb {
        Verb::Status { json, watch } => to.status(control, json, watch),
        Verb::Events { follow, json } => to.events(control, follow, json),
        Verb::Doctor { json } => to.doctor(control, json),
        Verb::Reload { wait, timeout, if_generation } => {
            to.stream(control, &Request::Reload { if_generation, wait }, timeout)
        }
        Verb::Stop { wait } => to.stop(control, wait),
        Verb::Scale(Change::To(to_)) => {
            to.once(control, &Request::Scale { to: Some(to_), by: None })
        }
        Verb::Scale(Change::By(by)) => to.once(control, &Request::Scale { to: None, by: Some(by) }),
        Verb::Ready => to.once(control, &Request::Ready),
        Verb::Live => to.once(control, &Request::Live),
        Verb::Signal(number) => to.once(control, &Request::Signal { number }),
        Verb::Metrics => to.once(control, &Request::Metrics),
        _ => return None,
    };
    Some(match outcome {
        Ok(()) | Err(Stop::Closed) => 0,
        Err(Stop::Refused(problem)) => to.complain(&problem),
        Err(Stop::Problem(problem)) => to.complain(&problem.to_string()),
    })
}

impl<O: Write, E: Write> Outputs<O, E> {
    fn complain(&mut self, problem: &str) -> u8 {
        let _ = writeln!(self.err, "dutch-master: {}", screen::printable(problem));
        EXIT_NO
    }

    fn look(&self) -> Look {
        (self.look)(self.has_colour)
    }

    fn once(&mut self, control: &Control, request: &Request) -> Result<(), Stop> {
        let reply = client::connect(control)?.once(request)?;
        self.last(reply)
    }

    /// Shows a last reply.
    fn last(&mut self, reply: Reply) -> Result<(), Stop> {
        match reply {
            Reply::Done { message } if message.is_empty() => {}
            Reply::Done { message } => writeln!(self.out, "{}", screen::printable(&message))?,
            Reply::Text { text } => self.out.write_all(text.as_bytes())?,
            Reply::Refused { problem } => return Err(Stop::Refused(problem)),
            _ => return Err(Problem::Nonsense("not what was asked for".to_owned()).into()),
        }
        Ok(())
    }

    fn status(&mut self, control: &Control, json: bool, watch: bool) -> Result<(), Stop> {
        let mut connection = client::connect(control)?;
        let resizes = (watch && self.is_terminal).then(Resizes::watch);
        let is_resized = || resizes.as_ref().is_some_and(Resizes::take);
        loop {
            let status = match connection.once(&Request::Status)? {
                Reply::Status { status } => status,
                other => return self.last(other),
            };
            let text = if json {
                serde_json::to_string(&status).unwrap_or_default() + "\n"
            } else {
                screen::status(&status, self.look())
            };
            if !watch {
                return Ok(self.out.write_all(text.as_bytes())?);
            }
            self.frame(&text)?;
            Self::pause(&mut connection, is_resized).inspect_err(|_| self.end_frame())?;
        }
    }

    /// Draws over the frame before, without a flicker.
    fn frame(&mut self, text: &str) -> Result<(), Stop> {
        if self.is_terminal {
            write!(self.out, "{}", screen::frame(text, self.look()))?;
        } else {
            writeln!(self.out, "{text}")?;
        }
        Ok(self.out.flush()?)
    }

    /// What follows has a line of its own.
    fn end_frame(&mut self) {
        if self.is_terminal {
            let _ = self.out.write_all(b"\r\n");
        }
    }

    /// Waits for the next frame, or learns that there is none.
    fn pause(connection: &mut Connection, is_resized: impl Fn() -> bool) -> Result<(), Stop> {
        match connection.reply_unless(Some(clock::now().saturating_add(FRAME)), is_resized) {
            Err(Problem::TimedOut) => Ok(()),
            Err(problem) => Err(problem.into()),
            Ok(_) => Err(Problem::Nonsense("nobody has asked".to_owned()).into()),
        }
    }

    fn events(&mut self, control: &Control, follow: bool, json: bool) -> Result<(), Stop> {
        let mut connection = client::connect(control)?;
        connection.ask(&Request::Events { follow })?;
        loop {
            let event = match connection.reply(None)? {
                Reply::Event { event } => event,
                other => return self.last(other),
            };
            if json {
                let text = serde_json::to_string(&event).unwrap_or_default();
                writeln!(self.out, "{text}")?;
            } else {
                writeln!(self.out, "{}", screen::whole_event(&event))?;
            }
            self.out.flush()?;
        }
    }

    fn doctor(&mut self, control: &Control, json: bool) -> Result<(), Stop> {
        let asked = client::connect(control).and_then(|mut to| to.once(&Request::Doctor));
        let findings = match asked {
            Ok(Reply::Findings { findings }) => findings,
            Ok(other) => return self.last(other),
            // That nobody can be asked is what there is to find.
            Err(problem) => vec![Finding {
                gravity: Gravity::Wrong,
                finding: problem.to_string(),
                remedy: problem.remedy().to_owned(),
            }],
        };
        let text = if json {
            serde_json::to_string(&findings).unwrap_or_default() + "\n"
        } else {
            screen::findings(&findings, self.look())
        };
        self.out.write_all(text.as_bytes())?;
        let is_wrong = |gravity| gravity == Gravity::Wrong;
        match findings.iter().find(|finding| is_wrong(finding.gravity)) {
            Some(finding) => Err(Stop::Refused(finding.finding.clone())),
            None => Ok(()),
        }
    }

    /// A stop whose end nobody can tell of any more has ended well.
    fn stop(&mut self, control: &Control, wait: bool) -> Result<(), Stop> {
        match self.stream(control, &Request::Stop { wait }, None) {
            Err(Stop::Problem(Problem::Gone)) if wait => match client::connect(control) {
                Ok(_) => Err(Problem::HungUp.into()),
                Err(_) => Ok(()),
            },
            other => other,
        }
    }

    /// Asks, and shows progress until the last reply.
    fn stream(
        &mut self,
        control: &Control,
        request: &Request,
        timeout: Option<Duration>,
    ) -> Result<(), Stop> {
        let until = timeout.map(|timeout| clock::now().saturating_add(timeout));
        let mut connection = client::connect(control)?;
        connection.ask(request)?;
        loop {
            match connection.reply(until) {
                Ok(Reply::Progress(progress)) => {
                    let text = screen::progress(&progress);
                    if self.is_terminal {
                        let text = screen::cut(&text, self.look().width);
                        write!(self.out, "\r\x1b[K{text}")?;
                    } else {
                        writeln!(self.out, "{text}")?;
                    }
                    self.out.flush()?;
                }
                Ok(last) => {
                    self.end_line()?;
                    return self.last(last);
                }
                Err(Problem::TimedOut) => {
                    self.end_line()?;
                    let problem = "not over within the timeout; the roll goes on";
                    return Err(Stop::Refused(problem.to_owned()));
                }
                Err(problem) => return Err(problem.into()),
            }
        }
    }

    fn end_line(&mut self) -> Result<(), Stop> {
        if self.is_terminal {
            write!(self.out, "\r\x1b[K")?;
        }
        Ok(())
    }
}
