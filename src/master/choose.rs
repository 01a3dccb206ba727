//! What `auto` comes to, and why: contract, readiness, balance.

use std::{
    ffi::{CString, OsStr},
    fs::File,
    io::Read,
    os::unix::ffi::OsStrExt,
    time::Duration,
};

use tracing::warn;

use crate::{
    config::{Balance, Config, ContractChoice, Ready},
    contract::{
        Kind, Readiness,
        program::{self, Program},
    },
    sys::{
        host,
        seccomp::{Ability, Obstacle},
        spawn,
    },
};

/// A plain worker that lives so long is taken to work: nothing better can be known of it.
const PLAIN_DELAY: Duration = Duration::from_secs(1);

const SHARE_PORT: &str = "WORKERS=1, or servers that share their port (reusePort: true)";
const SHARE_PORT_OR_NODE: &str = "CONTRACT=node if the servers are node:http's or node:net's; else \
                                  WORKERS=1, or servers that share their port (reusePort: true)";

fn alone(problem: &str, remedy: &str) {
    warn!(target: "master", problem, remedy, "no Node cluster");
}

/// Which contract, and why.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) kind: Kind,
    pub(super) why: String,
    /// What trying to capture has shown, where that was tried.
    pub(super) trial: Option<Result<Ability, Obstacle>>,
}

impl Choice {
    fn of(kind: Kind, why: &str) -> Self {
        Self { kind, why: why.to_owned(), trial: None }
    }
}

/// Chooses. `probe` tries whether servers can be captured here.
pub(super) fn contract(
    config: &Config,
    path: Option<&OsStr>,
    probe: &dyn Fn() -> Result<Ability, Obstacle>,
) -> Choice {
    match config.contract {
        ContractChoice::Node => return Choice::of(Kind::Node, "as set"),
        ContractChoice::Systemd => return Choice::of(Kind::Systemd, "as set"),
        ContractChoice::Plain => return Choice::of(Kind::Plain, "as set"),
        ContractChoice::Capture => {
            return Choice { trial: Some(probe()), ..Choice::of(Kind::Capture, "as set") };
        }
        ContractChoice::Auto => {}
    }
    let program = recognised(config, path);
    if program == Program::Node {
        return Choice::of(Kind::Node, "the program is Node");
    }
    let chosen = if config.listen.is_empty() {
        captured_or_plain(config, path, probe)
    } else {
        Choice::of(Kind::Systemd, "LISTEN is set")
    };
    if chosen.kind != Kind::Capture {
        explain_loneliness(config, program);
    }
    chosen
}

/// Servers of which nothing is known: two of them can share a port only if they are captured.
fn captured_or_plain(
    config: &Config,
    path: Option<&OsStr>,
    probe: &dyn Fn() -> Result<Ability, Obstacle>,
) -> Choice {
    if gains_rights(config, path) {
        let why = "LISTEN is not set, and capture would keep the program from gaining rights";
        return Choice::of(Kind::Plain, why);
    }
    let trial = probe();
    let (kind, why) = match &trial {
        Ok(_) => (Kind::Capture, "LISTEN is not set".to_owned()),
        Err(obstacle) => (Kind::Plain, format!("LISTEN is not set, and no capture: {obstacle}")),
    };
    Choice { kind, why, trial: Some(trial) }
}

/// Whether the program gets rights from its file (setuid, capabilities) that `no_new_privs` would
/// keep from it. Root has them all.
fn gains_rights(config: &Config, path: Option<&OsStr>) -> bool {
    if host::uid() == 0 && config.user.is_none() {
        return false;
    }
    let program = config.command.first();
    let files = program.map(|program| spawn::candidates(program, path)).unwrap_or_default();
    files.iter().find_map(|file| host::grants_rights(file)).unwrap_or_default()
}

/// What a command comes down to.
pub(super) fn recognised(config: &Config, path: Option<&OsStr>) -> Program {
    let head = |program: &OsStr| head_of_program(program, path);
    program::recognise(&config.command, &head)
}

/// nginx takes what it inherits for an older nginx's, which is non-blocking. Where it is not, a
/// process of it that is late to a connection waits in accept(2), deaf to everything, for the next.
pub(super) fn settle_blocking(config: &mut Config, path: Option<&OsStr>) {
    let is_nginx = recognised(config, path) == Program::Nginx;
    for listener in &mut config.listen {
        listener.nonblock.get_or_insert(is_nginx);
    }
}

/// Says why a program that one might take for a Node cluster is none.
fn explain_loneliness(config: &Config, program: Program) {
    match program {
        Program::Swallower(name) => {
            let problem = program::advice(name, &config.command);
            warn!(target: "master", problem, "no Node cluster");
        }
        Program::Bun => alone("Bun's HTTP servers bind by themselves", SHARE_PORT),
        // Those of node:http and node:net do take their place in a cluster, but nothing shows which
        // of the two a program has.
        Program::Deno => alone("Deno.serve binds by itself", SHARE_PORT_OR_NODE),
        Program::Node | Program::Nginx | Program::Other => {}
    }
}

/// The first bytes of the file that a command's name stands for, found as execvp(3) would.
fn head_of_program(program: &OsStr, path: Option<&OsStr>) -> Option<Vec<u8>> {
    let candidates = spawn::candidates(program, path);
    let open = |path: &CString| File::open(OsStr::from_bytes(path.as_bytes())).ok();
    let mut head = Vec::new();
    candidates.iter().find_map(open)?.take(256).read_to_end(&mut head).ok()?;
    Some(head)
}

/// What makes a worker ready: what was asked for, else what the contract gives.
pub(super) fn readiness(config: &Config, kind: Kind) -> Readiness {
    match (&config.ready, kind) {
        (Ready::Delay(time), _) => Readiness::Delay(*time),
        (Ready::Exec(_), _) => Readiness::Exec,
        (Ready::Start, _) => Readiness::Start,
        (Ready::Notify, _) | (_, Kind::Systemd) => Readiness::Notify,
        (_, Kind::Node | Kind::Capture) => Readiness::Listening,
        (_, Kind::Plain) => Readiness::Delay(PLAIN_DELAY),
    }
}

/// Who gets a new connection, for the log.
pub(super) fn balance(config: &Config, kind: Kind) -> &'static str {
    match (kind, config.balance) {
        (Kind::Node, Balance::Auto | Balance::RoundRobin(_)) => "round-robin",
        (Kind::Systemd | Kind::Capture, Balance::Auto | Balance::Slot) => "slot",
        _ => "shared",
    }
}

/// What can't be had with the contract that `auto` came to; config has seen to the others.
pub(super) fn clash(config: &Config, kind: Kind) -> Option<String> {
    let contract = format!("CONTRACT={kind}, which was chosen for this command");
    match (kind, config.balance, &config.ready) {
        (Kind::Node, Balance::Slot, _) => {
            Some(format!("BALANCE=slot: {contract}, knows round-robin and shared"))
        }
        (Kind::Systemd | Kind::Capture | Kind::Plain, Balance::RoundRobin(_), _) => Some(format!(
            "BALANCE=round-robin: only CONTRACT=node hands out connections, not {contract}"
        )),
        (Kind::Systemd | Kind::Plain, _, Ready::Listening) => {
            Some(format!("READY=listening: nobody sees a worker listen with {contract}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
