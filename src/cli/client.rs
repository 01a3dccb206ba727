//! Finds the running master's control socket and talks over it.
//!
//! A socket is trusted only if root or we ourselves listen on it, or for root, who the container runs
//! as. Where root names the socket, it is trusted as it stands.

use std::{
    ffi::OsStr,
    fmt, fs,
    io::{self, Read, Write},
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use dutch_master::wire::{
    control::{self, REPLY_LIMIT, Reply, Request},
    line::{Lines, Overlong},
};

use crate::{
    config::Control,
    sys::{clock, host, local},
};

/// What a master that lives answers within.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Problem {
    /// No socket was found: the places looked at.
    NoMaster(Vec<PathBuf>),
    /// `CONTROL=off`.
    Off,
    /// Nobody answers there, or not to us.
    NoAnswer(PathBuf, io::Error),
    /// Somebody else listens there.
    Stranger(PathBuf, u32),
    /// So many wait there that the master must hang.
    Full(PathBuf),
    /// The answer makes no sense.
    Nonsense(String),
    /// The master is gone.
    Gone,
    /// It is there, but does not talk to us.
    HungUp,
    /// It takes too long.
    TimedOut,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMaster(places) => {
                f.write_str("no master found: is it running in this container, as this user or root? looked at")?;
                places.iter().try_for_each(|place| write!(f, " {}", place.display()))
            }
            Self::Off => f.write_str("CONTROL=off: the master has no control socket"),
            Self::NoAnswer(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Stranger(path, uid) => {
                let path = path.display();
                write!(f, "{path}: uid {uid} listens there, neither root nor we")?;
                if host::uid() == 0 {
                    write!(f, ", nor who PID 1 runs as; to trust it: --control={path}")?;
                }
                Ok(())
            }
            Self::Full(path) => {
                write!(f, "{}: the master takes nobody in, and many wait", path.display())
            }
            Self::Nonsense(problem) => write!(f, "the master's answer: {problem}"),
            Self::Gone => f.write_str("the master is gone"),
            Self::HungUp => f.write_str("the master hung up: it answers its own user and root"),
            Self::TimedOut => f.write_str("timed out"),
        }
    }
}

impl Problem {
    /// What would help.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::NoMaster(_) => {
                "run this in the master's container, as its user or root (docker exec -u); with \
                 CONTROL=PATH there, say --control=PATH here; if it runs, its socket's file may \
                 have been removed: restart the container"
            }
            Self::Off => "CONTROL=auto or a path, for the master and here",
            Self::NoAnswer(_, error) => match error.kind() {
                io::ErrorKind::NotFound => {
                    "is that the master's CONTROL? if so, its file or directory was removed or \
                     mounted over: restart the container"
                }
                io::ErrorKind::ConnectionRefused => {
                    "nobody listens on that file: its master is gone, or something was put in its \
                     socket's place: restart the container"
                }
                io::ErrorKind::PermissionDenied => {
                    "run this as the master's user or root (docker exec -u); if it is that user, \
                     chmod 600 for the socket, and chmod u+x for each directory above it"
                }
                _ => "is that the master's CONTROL?",
            },
            Self::Stranger(..) | Self::HungUp => {
                "run this as the master's user or root (docker exec -u)"
            }
            Self::Full(_) | Self::TimedOut => {
                "is the master stopped (SIGSTOP, a debugger) or without CPU? its log tells"
            }
            Self::Nonsense(_) => "is something else than a master of this version there?",
            Self::Gone => "see the log of the container",
        }
    }
}

/// A connection to the master.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    lines: Lines,
}

/// Who PID 1 runs as: what root starts in a container is for it.
fn init() -> u32 {
    fs::metadata("/proc/1").map_or(0, |facts| facts.uid())
}

/// Where the socket may be, the likeliest first, and who may listen there.
fn places() -> Vec<PathBuf> {
    let name = |uid: u32| format!("dutch-master-{uid}-{}", host::pid_namespace());
    let mut places = vec![PathBuf::from("/run/dutch-master")];
    for uid in [host::uid(), init(), 0] {
        places.extend(["/dev/shm", "/tmp"].map(|place| Path::new(place).join(name(uid))));
    }
    if host::uid() == 0 {
        places.extend(of_others());
    }
    let mut seen = Vec::new();
    places.retain(|place| {
        !seen.contains(place) && {
            seen.push(place.clone());
            true
        }
    });
    places
}

/// Directories of masters in our pid namespace that run as anybody.
fn of_others() -> Vec<PathBuf> {
    let end = format!("-{}", host::pid_namespace());
    let is_one = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.starts_with("dutch-master-") && name.ends_with(&end)
    };
    let entries = ["/dev/shm", "/tmp"].into_iter().filter_map(|place| fs::read_dir(place).ok());
    let entries = entries.flatten().flatten().filter(|entry| is_one(&entry.file_name()));
    entries.take(64).map(|entry| entry.path()).collect()
}

/// Connects to the running master.
pub(crate) fn connect(control: &Control) -> Result<Connection, Problem> {
    match control {
        Control::Off => Err(Problem::Off),
        Control::Path(path) => connect_to(path, host::uid() == 0),
        Control::Auto => {
            let places = places();
            let mut problem = None;
            for place in &places {
                match connect_to(&place.join("control.sock"), false) {
                    Ok(connection) => return Ok(connection),
                    Err(Problem::NoAnswer(_, error)) if error.kind() == io::ErrorKind::NotFound => {
                    }
                    Err(other) => problem = problem.or(Some(other)),
                }
            }
            Err(problem.unwrap_or(Problem::NoMaster(places)))
        }
    }
}

fn connect_to(path: &Path, is_trusted: bool) -> Result<Connection, Problem> {
    let told = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock => Problem::Full(path.to_owned()),
        _ => Problem::NoAnswer(path.to_owned(), error),
    };
    let stream = local::connect(path).map_err(told)?;
    let uid =
        local::peer_uid(&stream).map_err(|error| told(io::Error::other(error.to_string())))?;
    let own = host::uid();
    // A worker of another user may put a socket of its own where root looks for a master's.
    let is_ours = uid == 0 || uid == own || (own == 0 && uid == init());
    if !is_trusted && !is_ours {
        return Err(Problem::Stranger(path.to_owned(), uid));
    }
    Ok(Connection { stream, lines: Lines::new(REPLY_LIMIT, Overlong::Refuse) })
}

impl Connection {
    /// Sends a request.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<(), Problem> {
        let sent = self
            .stream
            .set_write_timeout(Some(PATIENCE))
            .and_then(|()| self.stream.write_all(control::ask(request).as_bytes()));
        sent.map_err(|_| Problem::Gone)
    }

    /// The next reply; waits until the clock shows `until`, or for ever.
    pub(crate) fn reply(&mut self, until: Option<Duration>) -> Result<Reply, Problem> {
        self.reply_unless(until, || false)
    }

    /// The same, but after a signal the time may be over at once.
    pub(crate) fn reply_unless(
        &mut self,
        until: Option<Duration>,
        is_over: impl Fn() -> bool,
    ) -> Result<Reply, Problem> {
        loop {
            if let Some(line) = self.lines.take_line() {
                let line = line.map_err(|error| Problem::Nonsense(error.to_string()))?;
                return control::reply(&line).map_err(Problem::Nonsense);
            }
            let left = until.map(|until| until.saturating_sub(clock::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Problem::TimedOut);
            }
            let mut bytes = [0; 16_384];
            let read =
                self.stream.set_read_timeout(left).and_then(|()| self.stream.read(&mut bytes));
            match read {
                Ok(0) => return Err(Problem::Gone),
                Ok(length) => self.lines.feed(bytes.get(..length).unwrap_or_default()),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Err(Problem::TimedOut),
                    io::ErrorKind::Interrupted if is_over() => return Err(Problem::TimedOut),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(Problem::Gone),
                },
            }
        }
    }

    /// One request, one reply, soon.
    pub(crate) fn once(&mut self, request: &Request) -> Result<Reply, Problem> {
        self.ask(request)?;
        self.reply(Some(clock::now().saturating_add(PATIENCE)))
    }
}
