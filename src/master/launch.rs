//! Puts together what a process of ours is started with: descriptors, environment, rights.

use std::{
    ffi::{CString, OsStr, OsString},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::PathBuf,
    time::Duration,
};

use dutch_master::{
    Generation, SlotId, WorkerId,
    wire::listen::{self, Passed},
};

use super::{
    listeners::FIRST_FD,
    output::{Outlet, Stream},
    release::{Environment, Release},
    store::Stored,
};
use crate::{
    config::Output,
    contract::{self, Kind, node::preload::Preload, systemd::Link},
    sys::{
        Errno, Pid,
        host::{self, RuntimeDir},
        limits::{Limit, Limits},
        seccomp::{Ability, Obstacle},
        spawn::{self, Credentials, Filter, Group, Launch, SpawnError, Spawned},
    },
};

/// What all workers have in common.
#[derive(Debug)]
pub(crate) struct Kit {
    pub(crate) command: Vec<OsString>,
    pub(crate) kind: Kind,
    /// What trying to capture servers has shown, where that was tried.
    pub(crate) trial: Option<Result<Ability, Obstacle>>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) limits: Limits,
    /// The limits that we were started with and have raised for ourselves.
    pub(crate) inherited: Vec<Limit>,
    /// What Node loads before a worker's program. Stands before the directory that it lies in, and
    /// so goes first.
    pub(crate) preload: Option<Preload>,
    /// Where sockets for workers are made; nothing where no place would do.
    pub(crate) sockets: Option<RuntimeDir>,
    /// Where einhorn's acknowledgements are taken.
    pub(crate) einhorn: Option<PathBuf>,
    pub(crate) watchdog: Option<Duration>,
    pub(crate) output: Output,
}

/// Which worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    pub(crate) worker: WorkerId,
    pub(crate) slot: SlotId,
    pub(crate) generation: Generation,
}

/// A worker's process, just forked, and our ends of what connects us.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) pid: Pid,
    pub(crate) exec_status: OwnedFd,
    pub(crate) link: Option<Link>,
    pub(crate) outlets: Vec<Outlet>,
}

/// Why there is no process.
#[derive(Debug)]
pub(crate) enum LaunchError {
    /// A descriptor could not be made.
    Descriptor(Errno),
    /// An argument names a listener that is not there.
    Argument(String),
    /// An argument or variable has a zero byte in it.
    ZeroByte(OsString),
    /// It could not be forked.
    Fork(SpawnError),
}

impl std::fmt::Display for LaunchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Descriptor(error) => write!(f, "no descriptor for it: {error}"),
            Self::Argument(problem) => f.write_str(problem),
            Self::ZeroByte(text) => write!(f, "zero byte in {}", text.display()),
            Self::Fork(error) => write!(f, "{error}"),
        }
    }
}

impl Name {
    /// What tells a process which worker it is.
    fn environment(self) -> [(OsString, OsString); 3] {
        let entry = |name: &str, value: String| (name.into(), value.into());
        [
            entry("DUTCH_MASTER_WORKER_ID", self.worker.get().to_string()),
            entry("DUTCH_MASTER_SLOT", self.slot.get().to_string()),
            entry("DUTCH_MASTER_GENERATION", self.generation.get().to_string()),
        ]
    }
}

impl Kit {
    /// Starts a worker's process.
    pub(crate) fn launch(
        &self,
        name: Name,
        release: &Release,
        passed: &[(Passed, BorrowedFd<'_>)],
        stored: &[Stored],
        channel: Option<&OwnedFd>,
        filter: Option<Filter<'_>>,
    ) -> Result<Launched, LaunchError> {
        let listeners: Vec<Passed> = passed.iter().map(|(passed, _)| passed.clone()).collect();
        let argv = self.arguments(&listeners)?;
        let mut environment = release.environment.clone();
        environment.extend(name.environment());
        environment.extend(self.dialects(name, &listeners, stored));
        let mut fds: Vec<(RawFd, BorrowedFd<'_>)> =
            passed.iter().map(|(passed, fd)| (passed.fd, *fd)).collect();
        fds.extend((FIRST_FD..).skip(passed.len()).zip(stored.iter().map(|one| one.fd.as_fd())));
        if contract::wants_fd_0(self.command.first().map_or(OsStr::new(""), |program| program))
            && let Some((_, first)) = passed.first()
        {
            fds.push((0, *first));
        }
        let (link, ready) =
            self.connect(&mut environment, passed.len().saturating_add(stored.len()))?;
        if let Some((number, fd)) = &ready {
            fds.push((*number, fd.as_fd()));
        }
        if let Some(channel) = channel {
            // Behind NOTIFY_FD.
            let number = next_fd(&fds);
            fds.push((number, channel.as_fd()));
            self.introduce(&mut environment, name.worker, number);
        }
        let (outlets, ends) = self.outlets()?;
        fds.extend([1, 2].into_iter().zip(ends.iter().map(AsFd::as_fd)));
        let launch = Launch {
            candidates: candidates(&self.command, &environment),
            argv,
            env: Some(strings(&environment)?),
            own_pid_env: environment.contains_key(OsStr::new("LISTEN_FDS")),
            cwd: Some(release.directory.as_fd()),
            fds,
            credentials: self.credentials.clone(),
            group: Group::Own,
            limits: self.limits.clone(),
            filter,
        };
        let Spawned { pid, exec_status } = spawn::spawn(&launch).map_err(LaunchError::Fork)?;
        Ok(Launched { pid, exec_status, link, outlets })
    }

    /// Starts a hook: a command of the operator's, with our own rights, in the release's directory.
    pub(crate) fn launch_hook(
        &self,
        command: &[OsString],
        name: Option<Name>,
        release: &Release,
        extra: &[(OsString, OsString)],
        stdout: Option<BorrowedFd<'_>>,
    ) -> Result<Spawned, LaunchError> {
        let mut environment = release.environment.clone();
        environment.extend(name.into_iter().flat_map(Name::environment));
        environment.extend(extra.iter().cloned());
        let launch = Launch {
            candidates: candidates(command, &environment),
            argv: command.iter().map(|word| string(word)).collect::<Result<_, _>>()?,
            env: Some(strings(&environment)?),
            own_pid_env: false,
            cwd: Some(release.directory.as_fd()),
            fds: stdout.into_iter().map(|fd| (1, fd)).collect(),
            credentials: None,
            group: Group::Own,
            limits: Limits { rlimits: self.inherited.clone(), ..Limits::default() },
            filter: None,
        };
        spawn::spawn(&launch).map_err(LaunchError::Fork)
    }

    fn arguments(&self, listeners: &[Passed]) -> Result<Vec<CString>, LaunchError> {
        self.command
            .iter()
            .map(|word| {
                let word = listen::expand(word.as_bytes(), listeners)
                    .map_err(|error| LaunchError::Argument(error.to_string()))?;
                string(OsStr::from_bytes(&word))
            })
            .collect()
    }

    /// Tells a Node program that it has a channel, and what to load first.
    fn introduce(&self, environment: &mut Environment, worker: WorkerId, number: RawFd) {
        let variables = contract::node::variables(worker, number);
        environment.extend(variables.map(|(name, value)| (name.into(), value.into())));
        if let Some(preload) = &self.preload {
            let name = OsStr::new("NODE_OPTIONS");
            let options = preload.options(environment.get(name).map(OsString::as_os_str));
            environment.insert(name.into(), options);
        }
    }

    /// Every way to tell a worker of its sockets.
    fn dialects(&self, name: Name, listeners: &[Passed], stored: &[Stored]) -> Environment {
        let einhorn = self.einhorn.as_ref().filter(|_| self.kind == Kind::Systemd);
        let options = listen::Options {
            generation: name.generation.get().into(),
            master_pid: einhorn.map(|_| std::process::id()),
            einhorn_socket: einhorn.and_then(|path| path.to_str()).map(str::to_owned),
            unicorn: false,
        };
        let mut variables: Environment = listen::environment(listeners, &options)
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        if !stored.is_empty() {
            // systemd counts stored descriptors behind the listeners; the other dialects have none.
            let count = listeners.len().saturating_add(stored.len());
            let names = listeners.iter().map(|each| each.name.as_str());
            let names: Vec<&str> =
                names.chain(stored.iter().map(|each| each.name.as_str())).collect();
            variables.insert("LISTEN_FDS".into(), count.to_string().into());
            variables.insert("LISTEN_FDNAMES".into(), names.join(":").into());
        }
        variables
    }

    /// Makes a worker's own sockets. Returns our side, and the number and end of `NOTIFY_FD`.
    #[expect(clippy::type_complexity, reason = "used once, right above")]
    fn connect(
        &self,
        environment: &mut Environment,
        taken: usize,
    ) -> Result<(Option<Link>, Option<(RawFd, OwnedFd)>), LaunchError> {
        let Some(directory) = &self.sockets else { return Ok((None, None)) };
        directory.ensure().map_err(LaunchError::Descriptor)?;
        let uid = self.credentials.as_ref().map(|who| who.uid);
        let (link, ready) = Link::open(directory.path(), uid).map_err(LaunchError::Descriptor)?;
        let number = FIRST_FD.saturating_add(i32::try_from(taken).unwrap_or(i32::MAX));
        let mut set = |name: &str, value: OsString| drop(environment.insert(name.into(), value));
        set("NOTIFY_SOCKET", link.address().into());
        set("NOTIFY_FD", number.to_string().into());
        if let Some(interval) = self.watchdog {
            set("WATCHDOG_USEC", interval.as_micros().to_string().into());
        }
        Ok((Some(link), Some((number, ready))))
    }

    fn outlets(&self) -> Result<(Vec<Outlet>, Vec<OwnedFd>), LaunchError> {
        if self.output == Output::Inherit {
            return Ok((Vec::new(), Vec::new()));
        }
        let (mut outlets, mut ends) = (Vec::new(), Vec::new());
        for stream in [Stream::Out, Stream::Err] {
            let (reader, writer) = host::pipe().map_err(LaunchError::Descriptor)?;
            outlets.push(Outlet::new(stream, reader));
            ends.push(writer);
        }
        Ok((outlets, ends))
    }
}

/// The first number behind all descriptors that are passed.
fn next_fd(fds: &[(RawFd, BorrowedFd<'_>)]) -> RawFd {
    let last = fds.iter().map(|(number, _)| *number).max();
    last.map_or(FIRST_FD, |last| last.saturating_add(1).max(FIRST_FD))
}

fn candidates(command: &[OsString], environment: &Environment) -> Vec<CString> {
    let path = environment.get(OsStr::new("PATH")).map(OsString::as_os_str);
    command.first().map(|program| spawn::candidates(program, path)).unwrap_or_default()
}

fn string(text: &OsStr) -> Result<CString, LaunchError> {
    CString::new(text.as_bytes()).map_err(|_| LaunchError::ZeroByte(text.to_owned()))
}

fn strings(environment: &Environment) -> Result<Vec<CString>, LaunchError> {
    environment
        .iter()
        .map(|(name, value)| {
            let entry = [name.as_bytes(), b"=", value.as_bytes()].concat();
            string(&OsString::from_vec(entry))
        })
        .collect()
}
