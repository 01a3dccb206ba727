//! From a checked configuration to a master that stands: everything that must exist before the
//! first worker, or an exit code and a reason.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    num::NonZeroU16,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::ffi::OsStrExt,
    },
    sync::{Arc, Mutex},
};

use cap_std::{ambient_authority, fs::Dir};
use dutch_master::{Fleet, Policy, wire::listen::stale};
use tracing::{error, info, warn};

use super::{
    Master,
    capacity::{self, Capacity, Count},
    children::Children,
    choose::{self, Choice},
    cluster,
    einhorn::Einhorn,
    hooks::Hooks,
    journal,
    listeners::Listeners,
    operators::Operators,
    outfit::{credentials, kit, runtime_directory},
    record::Record,
    release::{Environment, Release, Sources},
    rescue::Rescue,
    source::Source,
    store::Store,
    watch::Watch,
};
use crate::{
    config::{Balance, Config, ContractChoice, Ready, Warning},
    contract::{Kind, Readiness, capture::Capture, node::Cluster},
    log::SharedSink,
    sys::{
        Errno, cgroup, clock,
        host::{self, RuntimeDir},
        poll::{Interest, Poll},
        reap,
        seccomp::{self, Ability},
        signals::Signals,
        sink::Sink,
    },
};

/// Exit code of a configuration that can't be carried out (`EX_CONFIG` of sysexits.h).
pub(super) const EXIT_CONFIG: u8 = 78;
/// Exit code of a defect of ours or of a kernel that lacks what we need (`EX_SOFTWARE`).
const EXIT_SOFTWARE: u8 = 70;

/// Why the master does not stand: the exit code; the log has the reason.
pub(super) struct Refusal(pub(super) u8);

/// Supervises until the fleet is gone. Returns the exit code.
pub(crate) fn run(
    config: Config,
    warnings: &[Warning],
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> u8 {
    let (Some(stdout), Some(stderr)) =
        (sink(std::io::stdout().as_fd()), sink(std::io::stderr().as_fd()))
    else {
        return EXIT_SOFTWARE;
    };
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    crate::log::start(&config.log, config.log_format, is_terminal, Arc::clone(&stderr));
    for warning in warnings {
        warn!(target: "config", "{warning}");
    }
    // Handlers stand before anything is started.
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => return refuse(EXIT_SOFTWARE, "signals can't be taken", &error).0,
    };
    match assemble(config, variables.collect(), signals, [stdout, stderr]) {
        Ok(mut master) => master.supervise(),
        Err(Refusal(code)) => code,
    }
}

fn sink(of: BorrowedFd<'_>) -> Option<SharedSink> {
    Sink::new(of).ok().map(|sink| Arc::new(Mutex::new(sink)))
}

/// Says why, once for all.
pub(super) fn refuse(code: u8, what: &str, why: &dyn std::fmt::Display) -> Refusal {
    error!(target: "master", problem = %why, "{what}");
    Refusal(code)
}

/// What was found out before anything was opened.
struct Survey {
    root: Dir,
    cpus: NonZeroU16,
    count: Count,
    choice: Choice,
    capture: Option<Capture>,
    readiness: Readiness,
    in_slots: bool,
    oom_kills: Option<u64>,
}

fn survey(config: &mut Config, path: Option<&OsStr>) -> Result<Survey, Refusal> {
    let root = Dir::open_ambient_dir("/", ambient_authority())
        .map_err(|error| refuse(EXIT_SOFTWARE, "/ can't be opened", &error))?;
    let facts = cgroup::facts(&root);
    let choice = choose::contract(config, path, &seccomp::probe);
    choose::settle_blocking(config, path);
    let kind = choice.kind;
    if let Some(problem) = choose::clash(config, kind) {
        return Err(refuse(EXIT_CONFIG, "settings contradict each other", &problem));
    }
    Ok(Survey {
        cpus: capacity::cpus(&facts).0,
        count: capacity::count(config, &facts),
        capture: capture(config, &choice)?,
        choice,
        readiness: choose::readiness(config, kind),
        in_slots: matches!(kind, Kind::Systemd | Kind::Capture)
            && config.balance != Balance::Shared,
        oom_kills: facts.oom_kills,
        root,
    })
}

/// What captures servers, where that was chosen and can be had.
fn capture(config: &Config, choice: &Choice) -> Result<Option<Capture>, Refusal> {
    if choice.kind != Kind::Capture {
        return Ok(None);
    }
    match &choice.trial {
        Some(Err(obstacle)) => {
            return Err(refuse(EXIT_CONFIG, "CONTRACT=capture can't be had", obstacle));
        }
        Some(Ok(Ability { is_undisturbed: false })) => {
            warn!(target: "master", problem = "Linux before 5.19 lets signals interrupt captured calls", "servers with a fast timer may hang");
        }
        _ => {}
    }
    // Who asks for capture, or for READY=listening, has servers.
    let has_servers =
        config.contract == ContractChoice::Capture || config.ready == Ready::Listening;
    let is_shared = config.balance == Balance::Shared;
    let capture = Capture::new(has_servers, config.capture_udp, is_shared);
    capture.map(Some).map_err(software("nothing can be captured"))
}

impl Survey {
    fn announce(&self, config: &Config, listeners: &Listeners) {
        journal::starting(&journal::Starting {
            workers: self.count.workers.get(),
            workers_why: &self.count.why,
            kind: self.choice.kind,
            kind_why: &self.choice.why,
            readiness: &self.readiness,
            balance: choose::balance(config, self.choice.kind),
            budget: config.shutdown_delay.saturating_add(config.stop_timeout),
        });
        if self.choice.kind == Kind::Capture && config.contract == ContractChoice::Auto {
            info!(
                target: "master",
                off = "DUTCH_MASTER_CONTRACT=plain",
                effect = "workers' TCP sockets are made by the master, and workers run with no_new_privs",
                "servers are captured"
            );
        }
        for (name, address) in listeners.names() {
            info!(target: "listener", name, address, "listening");
        }
    }
}

fn assemble(
    mut config: Config,
    variables: Vec<(OsString, OsString)>,
    signals: Signals,
    [stdout, stderr]: [SharedSink; 2],
) -> Result<Master, Refusal> {
    adopt_orphans()?;
    let sources = sources(&config, variables);
    let path = sources.container.get(OsStr::new("PATH")).map(OsString::as_os_str);
    let mut found = survey(&mut config, path)?;
    let release = first_release(&sources)?;
    let watch = start_watch(&config)?;
    let policy = policy(&config, found.cpus)?;
    let runtime = runtime_directory(&found.readiness)?;
    let credentials = credentials(&config, &found.root)?;
    let listeners = open_listeners(&config, &mut found)?;
    let einhorn = open_einhorn(found.choice.kind, runtime.as_ref());
    let operators = open_doors(&config, runtime.as_ref())?;
    let now = clock::now();
    let mut master = Master {
        fleet: Fleet::new(policy, found.count.workers),
        kit: kit(&config, &found.choice, credentials, runtime, einhorn.as_ref()),
        readiness: found.readiness,
        facts: Vec::new(),
        now,
        poll: Poll::new().map_err(software("epoll can't be had"))?,
        signals,
        children: Children::default(),
        cluster: cluster(&config, found.choice.kind, &listeners)?,
        rescue: rescue(&config)?,
        listeners,
        sources,
        releases: BTreeMap::new(),
        store: Store::default(),
        hooks: Hooks::default(),
        capacity: Capacity::new(found.root, &config, found.count.workers, now),
        watch,
        einhorn,
        stdout,
        stderr,
        last_failure: 1,
        interrupts: 0,
        is_booting: true,
        exit: None,
        record: Record::new(now, found.oom_kills),
        operators,
        config,
    };
    master.prepare(release).map_err(software("nothing can be waited for"))?;
    Ok(master)
}

fn first_release(sources: &Sources) -> Result<Release, Refusal> {
    sources.snapshot().map_err(|error| refuse(EXIT_CONFIG, "release can't be read", &error))
}

fn adopt_orphans() -> Result<(), Refusal> {
    if host::is_pid_1() {
        return Ok(());
    }
    reap::subreaper().map_err(software("orphans would escape us"))
}

fn open_doors(config: &Config, runtime: Option<&RuntimeDir>) -> Result<Operators, Refusal> {
    Operators::open(config, runtime)
        .map_err(|problem| refuse(EXIT_CONFIG, "operators can't be served", &problem))
}

fn software(what: &'static str) -> impl Fn(Errno) -> Refusal {
    move |error| refuse(EXIT_SOFTWARE, what, &error)
}

fn open_listeners(config: &Config, found: &mut Survey) -> Result<Listeners, Refusal> {
    let opened = Listeners::open(&config.listen, found.in_slots, &found.root);
    let mut listeners = opened.map_err(|faults| {
        faults.iter().fold(Refusal(EXIT_CONFIG), |_, fault| {
            refuse(EXIT_CONFIG, "listener can't be opened", fault)
        })
    })?;
    listeners.capture = found.capture.take();
    found.announce(config, &listeners);
    Ok(listeners)
}

fn start_watch(config: &Config) -> Result<Option<Watch>, Refusal> {
    if config.watch.is_empty() {
        return Ok(None);
    }
    Watch::start(&config.watch).map(Some).map_err(|(path, errno)| {
        let problem = format!("{}: {errno}", path.display());
        refuse(EXIT_CONFIG, "path can't be watched", &problem)
    })
}

fn policy(config: &Config, cpus: NonZeroU16) -> Result<Policy, Refusal> {
    Policy::new(config.rules(cpus, host::seed())).map_err(|faults| {
        faults.iter().fold(Refusal(EXIT_CONFIG), |_, fault| {
            refuse(EXIT_CONFIG, "settings contradict each other", fault)
        })
    })
}

impl Master {
    /// The last steps before the first worker.
    fn prepare(&mut self, release: Release) -> Result<(), Errno> {
        self.releases.extend(self.fleet.wanted().map(|first| (first, release)));
        self.listen_for_events()?;
        self.count_before_boot();
        Ok(())
    }

    /// With `NUM_WORKERS_COMMAND` set, nobody is started before it has answered.
    fn count_before_boot(&mut self) {
        if self.config.num_workers_command.is_some() {
            self.hooks.hold_boot();
            self.ask_for_count();
        }
    }

    fn listen_for_events(&self) -> Result<(), Errno> {
        self.poll.add(self.signals.as_fd(), Source::Signals.token(), Interest::Read)?;
        if let Some(watch) = &self.watch {
            self.poll.add(watch.watcher(), Source::Watch.token(), Interest::Read)?;
        }
        if let Some(cluster) = &self.cluster {
            self.poll.add(cluster.as_fd(), Source::Cluster.token(), Interest::Read)?;
        }
        if let Some(capture) = &self.listeners.capture {
            self.poll.add(capture.as_fd(), Source::Capture.token(), Interest::Read)?;
        }
        self.poll.add(self.rescue.relays(), Source::Relays.token(), Interest::Read)?;
        self.poll.add(self.listeners.ends(), Source::Ends.token(), Interest::Read)?;
        self.operators.listen(&self.poll)?;
        if let Some(einhorn) = &self.einhorn {
            self.poll.add(einhorn, Source::Einhorn.token(), Interest::Read)?;
        }
        Ok(())
    }
}

fn rescue(config: &Config) -> Result<Rescue, Refusal> {
    Rescue::new(config.stall_timeout).map_err(software("epoll can't be had"))
}

fn cluster(config: &Config, kind: Kind, listeners: &Listeners) -> Result<Option<Cluster>, Refusal> {
    cluster::open(config, kind, listeners).map_err(software("no cluster can be had"))
}

fn open_einhorn(kind: Kind, directory: Option<&RuntimeDir>) -> Option<Einhorn> {
    let directory = directory.filter(|_| kind == Kind::Systemd)?;
    Einhorn::open(directory.path())
        .inspect_err(|error| warn!(target: "master", problem = %error, "no einhorn socket"))
        .ok()
}

fn sources(config: &Config, variables: Vec<(OsString, OsString)>) -> Sources {
    let container: Environment =
        variables.into_iter().filter(|(name, _)| stale(name.as_bytes()).is_none()).collect();
    Sources {
        chdir: config.chdir.clone(),
        env_dir: config.env_dir.clone(),
        container,
        worker: config.worker_env.clone(),
    }
}
