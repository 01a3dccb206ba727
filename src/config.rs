//! Environment and command line to one `Config`, in which no invalid value can exist.
//!
//! Everything here is a pure function of the variables and the words it is given: nobody reads the
//! process's environment, opens a file or looks up a user. All faults of one start are reported at
//! once.

mod account;
mod address;
mod arguments;
mod checked;
mod choice;
mod clash;
mod environment;
mod fault;
mod listen;
mod nearest;
mod operating;
mod parse;
mod reader;
mod report;
mod rules;
pub(crate) mod settings;
mod signal;
mod typed;
mod units;
pub(crate) mod verb;
mod words;

use std::ffi::OsString;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use verb::Takes;

pub(crate) use account::{Account, ResourceLimit, UserSpec};
pub(crate) use address::{Address, Inet};
pub(crate) use choice::{
    Balance, ContractChoice, Control, FailedRoll, Level, Log, LogFormat, Output, Ready, ReadyMin,
    SurgeChoice, Workers,
};
pub(crate) use fault::{Fault, Source, Warning, exit_code, printable};
pub(crate) use listen::Listener;
pub(crate) use report::Row;
pub(crate) use signal::{Signal, any as signal_of};
pub(crate) use units::positive as duration_of;
pub(crate) use verb::{Change, Shell, Verb};

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// What to do.
    pub(crate) verb: Verb,
    /// How; the defaults for a verb that needs no settings.
    pub(crate) config: Config,
    /// The same, setting by setting as text, for `config` to show.
    pub(crate) rows: Vec<Row>,
}

/// Every setting, checked; interface.md says what each means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// How many workers.
    pub(crate) workers: Workers,
    /// Memory that one worker needs, in bytes.
    pub(crate) worker_memory: Option<u64>,
    /// A command that prints the number of workers.
    pub(crate) num_workers_command: Option<Vec<OsString>>,
    /// The listening sockets, names and addresses unique.
    pub(crate) listen: Vec<Listener>,
    /// Who gets a new connection.
    pub(crate) balance: Balance,
    /// How the master speaks with workers.
    pub(crate) contract: ContractChoice,
    /// What makes a worker ready.
    pub(crate) ready: Ready,
    /// How many workers must serve for the fleet to be ready.
    pub(crate) ready_min: ReadyMin,
    /// How long a worker may take to become ready; `None` is for ever.
    pub(crate) start_timeout: Option<Duration>,
    /// How long a ready worker may be silent; `None` is for ever.
    pub(crate) watchdog: Option<Duration>,
    /// How long connections may wait for a worker that accepts none; `None` is for ever.
    pub(crate) stall_timeout: Option<Duration>,
    /// Whether UDP servers are captured, too.
    pub(crate) capture_udp: bool,
    /// From being told to stop to SIGKILL.
    pub(crate) kill_timeout: Duration,
    /// The same for a stop of the whole fleet.
    pub(crate) stop_timeout: Duration,
    /// How long to keep serving after being told to stop.
    pub(crate) shutdown_delay: Duration,
    /// What a worker gets to stop.
    pub(crate) stop_signal: Signal,
    /// The signals that start a roll.
    pub(crate) restart_signals: Vec<Signal>,
    /// How many replacements may be starting at once.
    pub(crate) surge: SurgeChoice,
    /// How many workers may be draining at once; `None` is the fleet's size.
    pub(crate) max_draining: Option<NonZeroU16>,
    /// How long the first replacement of a roll must live; `None` is no canary.
    pub(crate) canary: Option<Duration>,
    /// What becomes of a failed roll.
    pub(crate) on_failed_roll: FailedRoll,
    /// Failures in a row before a roll or a boot is given up.
    pub(crate) start_attempts: NonZeroU32,
    /// The first wait before a respawn.
    pub(crate) backoff_base: Duration,
    /// The longest such wait.
    pub(crate) backoff_cap: Duration,
    /// A command run before each worker.
    pub(crate) before_fork: Option<Vec<OsString>>,
    /// The workers' directory.
    pub(crate) chdir: Option<PathBuf>,
    /// A directory whose files are variables.
    pub(crate) env_dir: Option<PathBuf>,
    /// Paths whose change starts a roll.
    pub(crate) watch: Vec<PathBuf>,
    /// Variables for the workers only.
    pub(crate) worker_env: Vec<(OsString, OsString)>,
    /// Who the workers run as.
    pub(crate) user: Option<UserSpec>,
    /// Whether workers can gain privileges by exec no more.
    pub(crate) no_new_privs: bool,
    /// The workers' resource limits.
    pub(crate) rlimits: Vec<ResourceLimit>,
    /// The workers' nice value, -20 to 19.
    pub(crate) nice: Option<i32>,
    /// The workers' `oom_score_adj`, -1000 to 1000; `None` is a little more than the master's.
    pub(crate) oom_score_adj: Option<i32>,
    /// What a worker gets when the master dies.
    pub(crate) pdeathsig: Option<Signal>,
    /// Whether Node programs are taught to tell keep-alive clients before they go.
    pub(crate) node_keepalive: bool,
    /// The age past which a worker is replaced.
    pub(crate) max_lifetime: Option<Duration>,
    /// The memory, in bytes, past which a worker is replaced.
    pub(crate) max_memory: Option<u64>,
    /// What becomes of the workers' output.
    pub(crate) output: Output,
    /// What is logged.
    pub(crate) log: Log,
    /// How it looks.
    pub(crate) log_format: LogFormat,
    /// Where the control socket is.
    pub(crate) control: Control,
    /// Where metrics and probes are served.
    pub(crate) http: Option<Inet>,
}

/// Reads the variables and the words of the command line (without the program's own name).
pub(crate) fn load(
    variables: impl Iterator<Item = (OsString, OsString)>,
    arguments: impl Iterator<Item = OsString>,
) -> Result<(Invocation, Vec<Warning>), Vec<Fault>> {
    let line = arguments::read(arguments);
    let mut faults = line.faults;
    let mut warnings = line.warnings;
    let mut typed = typed::Typed::default();
    let is_answer = matches!(line.verb, Verb::Help | Verb::Version);
    if !is_answer && matches!(line.takes, Takes::Settings | Takes::SettingsAndCommand) {
        let mut environment = environment::read(variables);
        warnings.append(&mut environment.warnings);
        faults.append(&mut environment.faults);
        typed = environment.typed;
        typed.overlay(line.typed);
    } else if matches!(line.takes, Takes::Operator | Takes::OperatorAndWord) {
        // What is wrong with other settings is the master's to say.
        typed = environment::read(variables).typed;
        typed.settings.retain(|name, _| operating::knows(name));
        typed.members.clear();
        typed.overlay(line.typed);
    }
    let (mut config, mut refused) = checked::read(&typed);
    if refused.is_empty() {
        refused = clash::all(&config, &typed);
    }
    faults.append(&mut refused);
    let rows = report::rows(&typed, &line.command);
    if !line.command.is_empty() {
        config.command = line.command;
    }
    let needs_command = matches!(line.verb, Verb::Run | Verb::Init);
    if needs_command && config.command.is_empty() && faults.is_empty() {
        faults.push(Fault::Usage(NO_COMMAND.to_owned()));
    }
    if faults.is_empty() {
        Ok((Invocation { verb: line.verb, config, rows }, warnings))
    } else {
        Err(faults)
    }
}

/// What who says nothing at all is told.
const NO_COMMAND: &str = "no command: write dutch-master [OPTIONS] [--] COMMAND [ARG]..., or set \
                          DUTCH_MASTER_WORKER; dutch-master --help lists all";

mod tests;
