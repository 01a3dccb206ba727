//! What was typed, parsed setting by setting into a `Config`.

use std::ffi::{OsStr, OsString};
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use super::choice::{
    Balance, ContractChoice, Control, FailedRoll, Level, Log, LogFormat, Output, Ready, ReadyMin,
    SurgeChoice, Workers,
};
use super::reader::{self, Reader};
use super::signal::{self, Signal};
use super::typed::Typed;
use super::units::{positive, size, switch, unless_off, within};
use super::{Config, Fault, account, address, listen, parse, units, words};

/// Reads every setting; the faults are those of single values.
pub(crate) fn read(typed: &Typed) -> (Config, Vec<Fault>) {
    let mut config = blank();
    let mut reader = Reader::new(typed);
    workers(&mut config, &mut reader);
    readiness(&mut config, &mut reader);
    rolls(&mut config, &mut reader);
    stopping(&mut config, &mut reader);
    worker(&mut config, &mut reader);
    outside(&mut config, &mut reader);
    (config, reader.into_faults())
}

/// The same parser for a field that may be empty.
fn some<T>(
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| parse(text).map(Some)
}

fn workers(config: &mut Config, reader: &mut Reader<'_>) {
    reader.set("WORKER", &mut config.command, words::command);
    reader.set("WORKERS", &mut config.workers, parse::workers);
    reader.set("WORKER_MEMORY", &mut config.worker_memory, some(size));
    reader.set("NUM_WORKERS_COMMAND", &mut config.num_workers_command, some(words::command));
    // Ten per cent of jitter must leave a worker more than the second that proves it.
    let lifetime = units::at_least(Duration::from_secs(2));
    reader.set("MAX_LIFETIME", &mut config.max_lifetime, unless_off(lifetime));
    reader.set("MAX_MEMORY", &mut config.max_memory, unless_off(size));
}

fn readiness(config: &mut Config, reader: &mut Reader<'_>) {
    reader.set_list("LISTEN", &mut config.listen, |texts| listen::listeners(texts.iter().copied()));
    reader.set("BALANCE", &mut config.balance, parse::one_of(Balance::NAMES));
    reader.set("CONTRACT", &mut config.contract, parse::one_of(ContractChoice::NAMES));
    reader.set("READY", &mut config.ready, parse::ready);
    reader.set("READY_MIN", &mut config.ready_min, parse::ready_min);
    reader.set("START_TIMEOUT", &mut config.start_timeout, unless_off(positive));
    reader.set("WATCHDOG", &mut config.watchdog, unless_off(positive));
    // A quarter of it is how often we look while somebody waits.
    let stall = units::at_least(Duration::from_millis(100));
    reader.set("STALL_TIMEOUT", &mut config.stall_timeout, unless_off(stall));
}

fn rolls(config: &mut Config, reader: &mut Reader<'_>) {
    reader.set_list("RESTART_SIGNAL", &mut config.restart_signals, |texts| {
        parse::restart_signals(texts.iter().copied())
    });
    reader.set("SURGE", &mut config.surge, parse::surge);
    reader.set("MAX_DRAINING", &mut config.max_draining, |text| match text {
        "WORKERS" => Ok(None),
        _ => parse::count(text).map(Some),
    });
    reader.set("CANARY", &mut config.canary, parse::canary);
    reader.set("ON_FAILED_ROLL", &mut config.on_failed_roll, parse::one_of(FailedRoll::NAMES));
    reader.set("START_ATTEMPTS", &mut config.start_attempts, |text| {
        parse::count(text).map(NonZeroU32::from)
    });
    let mut backoff = (config.backoff_base, config.backoff_cap);
    reader.set("BACKOFF", &mut backoff, parse::backoff);
    (config.backoff_base, config.backoff_cap) = backoff;
    reader.set_path("WATCH", &mut config.watch, reader::absolute_paths);
}

fn stopping(config: &mut Config, reader: &mut Reader<'_>) {
    reader.set("STOP_SIGNAL", &mut config.stop_signal, signal::stop);
    reader.set("KILL_TIMEOUT", &mut config.kill_timeout, positive);
    let mut own = None;
    reader.set("STOP_TIMEOUT", &mut own, |text| match text {
        "KILL_TIMEOUT" => Ok(None),
        _ => positive(text).map(Some),
    });
    config.stop_timeout = own.unwrap_or(config.kill_timeout);
    reader.set("SHUTDOWN_DELAY", &mut config.shutdown_delay, units::duration);
}

fn worker(config: &mut Config, reader: &mut Reader<'_>) {
    let path = |values: &[OsString]| reader::path(values).map(Some);
    reader.set_path("CHDIR", &mut config.chdir, path);
    reader.set_path("ENV_DIR", &mut config.env_dir, path);
    reader.set_family("WORKER_ENV_", &mut config.worker_env, |name, value| {
        Ok((OsString::from(name), value.to_owned()))
    });
    reader.set("BEFORE_FORK", &mut config.before_fork, some(words::command));
    reader.set("USER", &mut config.user, some(account::user));
    reader.set("CAPTURE_UDP", &mut config.capture_udp, switch);
    reader.set("NO_NEW_PRIVS", &mut config.no_new_privs, switch);
    reader.set_family("RLIMIT_", &mut config.rlimits, rlimit);
    reader.set("NICE", &mut config.nice, some(within(-20..=19)));
    reader.set("OOM_SCORE_ADJ", &mut config.oom_score_adj, some(within(-1000..=1000)));
    reader.set("PDEATHSIG", &mut config.pdeathsig, some(signal::any));
    reader.set("NODE_KEEPALIVE", &mut config.node_keepalive, switch);
}

fn outside(config: &mut Config, reader: &mut Reader<'_>) {
    reader.set("OUTPUT", &mut config.output, parse::one_of(Output::NAMES));
    reader.set_list("LOG", &mut config.log, |texts| parse::log(texts.iter().copied()));
    reader.set("LOG_FORMAT", &mut config.log_format, parse::one_of(LogFormat::NAMES));
    reader.set_path("CONTROL", &mut config.control, |values| {
        reader::path(values).and_then(parse::control)
    });
    reader.set("HTTP", &mut config.http, unless_off(address::inet));
}

/// One limit of a worker.
fn rlimit(name: &str, value: &OsStr) -> Result<account::ResourceLimit, String> {
    let resource = account::Resource::named(name).ok_or_else(|| "no such limit".to_owned())?;
    let text = value.to_str().ok_or_else(|| "is not UTF-8".to_owned())?;
    account::limit(resource, text)
}

/// A configuration before anything was read; the table's defaults take the place of all of it.
const fn blank() -> Config {
    Config {
        command: Vec::new(),
        workers: Workers::Fixed(NonZeroU16::MIN),
        worker_memory: None,
        num_workers_command: None,
        listen: Vec::new(),
        balance: Balance::Auto,
        contract: ContractChoice::Auto,
        ready: Ready::Auto,
        ready_min: ReadyMin::Count(NonZeroU16::MIN),
        start_timeout: None,
        watchdog: None,
        stall_timeout: None,
        capture_udp: false,
        kill_timeout: Duration::from_secs(1),
        stop_timeout: Duration::from_secs(1),
        shutdown_delay: Duration::ZERO,
        stop_signal: Signal::TERM,
        restart_signals: Vec::new(),
        surge: SurgeChoice::Cpus,
        max_draining: None,
        canary: None,
        on_failed_roll: FailedRoll::Rollback,
        start_attempts: NonZeroU32::MIN,
        backoff_base: Duration::from_secs(1),
        backoff_cap: Duration::from_secs(1),
        before_fork: None,
        chdir: None,
        env_dir: None,
        watch: Vec::new(),
        worker_env: Vec::new(),
        user: None,
        no_new_privs: false,
        rlimits: Vec::new(),
        nice: None,
        oom_score_adj: None,
        pdeathsig: None,
        node_keepalive: false,
        max_lifetime: None,
        max_memory: None,
        output: Output::Inherit,
        log: Log { level: Level::Info, targets: Vec::new() },
        log_format: LogFormat::Auto,
        control: Control::Auto,
        http: None,
    }
}
