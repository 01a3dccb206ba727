//! Watches over the child: passes signals on, reaps, and leaves with its exit code.

use std::ffi::OsString;
use std::time::Duration;

use super::voice::{Line, Note};
use super::{Options, Whom, start};
use crate::sys::reap::{self, ExitStatus};
use crate::sys::signals::{
    self, CHLD, CONT, HUP, INT, KILL, QUIT, Queue, Received, STOP, TERM, TSTP, TTIN, TTOU,
};
use crate::sys::spawn::{self, Group};
use crate::sys::{Pid, clock, host, kin, terminal};

/// After SIGKILL for everybody, who is still there hangs in the kernel and is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The first quiet moment, in which the start's memory is given back: a child that ends sooner is not
/// worth the work.
const QUIET: Duration = Duration::from_millis(100);

/// Runs `command` to its end and returns our exit code.
pub(super) fn run(command: &[OsString], options: &Options) -> u8 {
    let program = start::shown(command);
    let mut vigil = Vigil {
        options,
        program: &program,
        queue: Queue::install(),
        child: None,
        skipped: Vec::new(),
        kill_at: None,
        leaving: None,
        has_terminal: options.group == Group::Foreground && terminal::is_terminal(),
        sent_stop: false,
        is_slim: false,
    };
    options.preface.iter().for_each(Line::print);
    vigil.prepare();
    if options.pause {
        spawn::let_go(&[]);
        return vigil.pause();
    }
    let code = match vigil.start(command) {
        Ok(()) => vigil.keep(),
        Err(code) => code,
    };
    vigil.say(Note::Leaving(code));
    code
}

struct Vigil<'a> {
    options: &'a Options,
    program: &'a str,
    queue: Queue,
    child: Option<Pid>,
    /// Signals that our own giving up of the terminal has caused.
    skipped: Vec<i32>,
    /// When the child, having been told to stop, is killed.
    kill_at: Option<Duration>,
    leaving: Option<Leaving>,
    /// The child is one that a key can stop.
    has_terminal: bool,
    /// Somebody had us stop the child.
    sent_stop: bool,
    /// The start's memory has been given back.
    is_slim: bool,
}

/// The child is dead, others are not.
#[derive(Clone, Copy)]
struct Leaving {
    code: u8,
    /// When they are killed; once they have been, when we leave all the same.
    until: Duration,
    killed: bool,
}

impl Vigil<'_> {
    fn say(&self, note: Note<'_>) {
        if let Some(line) = (self.options.voice)(&note, self.options.verbosity) {
            line.print();
        }
    }

    /// Before there is a child: whatever makes sure that we hear of everything.
    fn prepare(&mut self) {
        let adopted = if host::is_pid_1() { Ok(()) } else { reap::subreaper() };
        if let Err(errno) = adopted {
            self.say(Note::Failed("become the reaper of our descendants", errno));
        }
        let followed = self.options.parent_death.map_or(Ok(()), kin::follow_parent);
        if let Err(errno) = followed {
            self.say(Note::Failed("follow our parent", errno));
        }
        if self.options.group == Group::SessionWithTerminal {
            let detached = kin::detach_terminal();
            self.say(Note::Detached(detached));
            if detached == Ok(true) {
                self.skipped = vec![HUP, CONT];
            }
        }
    }

    /// Starts the child; what we inherited for it, we let go. Signals that come meanwhile wait in the
    /// queue.
    fn start(&mut self, command: &[OsString]) -> Result<(), u8> {
        let (pid, error) = match start::start(command, self.options) {
            Ok(child) => {
                self.child = Some(child);
                self.say(Note::Spawned(self.program, child));
                spawn::let_go(&[]);
                return Ok(());
            }
            Err(failed) => failed,
        };
        let script = start::shell_command(command, &error);
        if let Some(script) = script.filter(|_| self.options.shell_fallback) {
            return self.start(&script);
        }
        self.say(Note::NotStarted(self.program, pid, &error));
        Err((self.options.failure_code)(&error))
    }

    fn keep(&mut self) -> u8 {
        loop {
            let wake = self.leaving.map(|leaving| leaving.until).or(self.kill_at);
            let timeout = wake.map(|at| at.saturating_sub(clock::now()));
            if let Some(received) = self.next(timeout) {
                let is_plain = received.uid.is_none();
                self.take(received.signal, is_plain);
                if received.signal == CHLD
                    && let Some(code) = self.reap()
                {
                    return code;
                }
            }
            if let Some(code) = self.escalate() {
                return code;
            }
        }
    }

    /// The next signal, if one comes in time. When none has come for a while, the start is over.
    fn next(&mut self, timeout: Option<Duration>) -> Option<Received> {
        let is_shorter = timeout.is_some_and(|timeout| timeout < QUIET);
        if self.is_slim || is_shorter {
            return self.queue.next(timeout);
        }
        let received = self.queue.next(Some(QUIET));
        if received.is_none() {
            kin::forget_the_start();
            self.is_slim = true;
        }
        received
    }

    /// Passes a signal on. SIGCHLD only if it is not `plain`, that is, if somebody sent it.
    fn take(&mut self, signal: i32, plain: bool) {
        self.say(Note::Received(signal));
        if let Some(place) = self.skipped.iter().position(|&skipped| skipped == signal) {
            self.skipped.remove(place);
            return self.say(Note::Skipped(signal));
        }
        if signal == CHLD && plain {
            return;
        }
        let to = self.rewritten(signal);
        match to {
            Some(to) => {
                self.sent_stop |= to == TSTP;
                self.send(to);
            }
            None => self.say(Note::Dropped(signal)),
        }
        if to.is_some() && [TERM, INT, QUIT].contains(&signal) && self.kill_at.is_none() {
            let after = self.options.kill_after;
            self.kill_at = after.map(|after| clock::now().saturating_add(after));
        }
        if self.options.suspends && [TSTP, TTIN, TTOU].contains(&signal) {
            self.say(Note::Suspending);
            let _ = signals::kill(Pid::own(), STOP);
        }
    }

    fn rewritten(&self, signal: i32) -> Option<i32> {
        let to = self.options.rewrite.of(signal);
        if to != Some(signal) {
            self.say(Note::Rewritten(signal, to.unwrap_or_default()));
        }
        to
    }

    fn send(&self, signal: i32) {
        match self.child {
            None => kin::signal_descendants(signal),
            Some(child) => {
                let grouped =
                    self.options.to == Whom::Group && signals::kill_group(child, signal).is_ok();
                if !grouped {
                    // Not reaped yet, so the number is still the child's.
                    let _ = signals::kill(child, signal);
                }
            }
        }
        self.say(Note::Forwarded(signal));
    }

    /// Reaps all who are dead. Returns the code to leave with, if it is time.
    fn reap(&mut self) -> Option<u8> {
        let mut ended = None;
        while let Some((pid, status)) = reap::reap() {
            self.say(Note::Reaped(pid, status));
            if Some(pid) == self.child {
                ended = Some((pid, status));
            } else {
                self.say(Note::Orphan(pid));
            }
        }
        if let Some((pid, status)) = ended {
            return self.end(pid, status);
        }
        self.mind_stops();
        let leaving = self.leaving?;
        if leaving.killed {
            kin::signal_descendants(KILL);
        }
        (!reap::has_children()).then_some(leaving.code)
    }

    /// Ctrl-Z has stopped the child. Below a shell with job control we stop, too, and come back with it;
    /// elsewhere nobody would ever let it go on, so it does at once, as if it were PID 1 itself.
    fn mind_stops(&mut self) {
        let Some(child) = self.child.filter(|_| self.has_terminal) else { return };
        if !reap::was_stopped_by(child, TSTP) || std::mem::take(&mut self.sent_stop) {
            return;
        }
        if kin::is_a_job() {
            kin::take_terminal_back(child);
            let _ = signals::kill(Pid::own(), STOP);
            kin::lend_terminal(child);
        }
        let _ = signals::kill_group(child, CONT);
    }

    /// The child has ended: leave, or wait for the others.
    fn end(&mut self, child: Pid, status: ExitStatus) -> Option<u8> {
        self.child = None;
        self.say(Note::Ended(self.program, child, status));
        if self.options.group == Group::Foreground {
            kin::take_terminal_back(child);
        }
        self.bid_farewell(child);
        let code = self.options.codes.of(status.shell_code());
        let Some(limit) = self.options.wait_all.filter(|_| reap::has_children()) else {
            return Some(code);
        };
        self.say(Note::Waiting);
        kin::signal_descendants(TERM);
        let until = clock::now().saturating_add(limit);
        self.leaving = Some(Leaving { code, until, killed: false });
        None
    }

    fn bid_farewell(&self, child: Pid) {
        let Some(signal) = self.options.farewell else { return };
        let Some(signal) = self.rewritten(signal) else { return self.say(Note::Dropped(signal)) };
        if self.options.to == Whom::Group {
            let _ = signals::kill_group(child, signal);
        }
        self.say(Note::Forwarded(signal));
    }

    /// Whoever has had his time is killed.
    fn escalate(&mut self) -> Option<u8> {
        self.leaving.map(|leaving| leaving.until).or(self.kill_at)?;
        let now = clock::now();
        if let Some(leaving) = self.leaving.filter(|leaving| leaving.until <= now) {
            if leaving.killed {
                return Some(leaving.code);
            }
            kin::signal_descendants(KILL);
            self.say(Note::KilledRest);
            self.leaving =
                Some(Leaving { until: now.saturating_add(PATIENCE), killed: true, ..leaving });
        }
        let late = self.kill_at.filter(|&at| at <= now).and(self.child);
        if let Some(child) = late {
            self.kill_at = None;
            self.say(Note::Killed(child));
            if self.options.group == Group::Inherit || signals::kill_group(child, KILL).is_err() {
                let _ = signals::kill(child, KILL);
            }
        }
        None
    }

    /// Nothing but reaping, until somebody says that it is over.
    fn pause(&mut self) -> u8 {
        loop {
            match self.next(None).map(|received| received.signal) {
                Some(TERM | INT) => return 0,
                Some(CHLD) => while reap::reap().is_some() {},
                _ => {}
            }
        }
    }
}
