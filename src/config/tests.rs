//! Whole starts, and a table with a row for every setting.
#![cfg(test)]

use super::{
    Account, Address, Balance, Config, ContractChoice, Control, FailedRoll, Fault, Invocation,
    Level, LogFormat, Output, Ready, Source, SurgeChoice, Verb, Warning, Workers, exit_code, load,
    settings,
};
use proptest::prelude::{any, prop_assert, proptest};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::num::NonZeroU16;
use std::time::Duration;

type Loaded = Result<(Invocation, Vec<Warning>), Vec<Fault>>;

fn start(variables: &[(&str, &str)], words: &[&str]) -> Loaded {
    let variables = variables.iter().map(|&(name, value)| (name.into(), value.into()));
    load(variables, words.iter().map(OsString::from))
}

fn config(variables: &[(&str, &str)], words: &[&str]) -> Config {
    start(variables, words).unwrap_or_else(|faults| panic!("{words:?}: {faults:?}")).0.config
}

fn faults(variables: &[(&str, &str)], words: &[&str]) -> Vec<String> {
    start(variables, words).expect_err("accepted").iter().map(ToString::to_string).collect()
}

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn n(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

/// What a value must have done.
type Check = fn(&Config) -> bool;

/// A setting's row: what holds by default, values that do something, values that are refused.
type Row = (&'static str, Check, &'static [(&'static str, Check)], &'static [&'static str]);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("WORKER", |c| c.command == ["default"], &[("a 'b c'", |c| c.command == ["default"])], &["'a", "''"]),
    ("WORKERS", |c| matches!(c.workers, Workers::Auto { plus: 0, .. }), &[("4", |c| c.workers == Workers::Fixed(n(4)))], &["0", "x"]),
    ("WORKER_MEMORY", |c| c.worker_memory.is_none(), &[("1K", |c| c.worker_memory == Some(1024))], &["0", "1Z", "off"]),
    ("NUM_WORKERS_COMMAND", |c| c.num_workers_command.is_none(), &[("nproc", |c| c.num_workers_command == Some(vec!["nproc".into()]))], &["\"nproc"]),
    ("MAX_LIFETIME", |c| c.max_lifetime.is_none(), &[("1h", |c| c.max_lifetime == Some(secs(3600))), ("off", |c| c.max_lifetime.is_none())], &["1s", "never"]),
    ("MAX_MEMORY", |c| c.max_memory.is_none(), &[("1G", |c| c.max_memory == Some(1 << 30)), ("off", |c| c.max_memory.is_none())], &["0", "50%"]),
    ("LISTEN", |c| c.listen.is_empty(), &[(":80, a=/b", |c| c.listen.len() == 2 && c.listen[1].address == Address::Unix("/b".into()))], &["localhost:80", ","]),
    ("BALANCE", |c| c.balance == Balance::Auto, &[("slot", |c| c.balance == Balance::Slot), ("round-robin", |c| matches!(c.balance, Balance::RoundRobin(in_flight) if in_flight.get() == 1)), ("round-robin:4", |c| matches!(c.balance, Balance::RoundRobin(in_flight) if in_flight.get() == 4)), ("shared", |c| c.balance == Balance::Shared)], &["roundrobin", "round-robin:5", "shared:2"]),
    ("CONTRACT", |c| c.contract == ContractChoice::Auto, &[("auto", |c| c.contract == ContractChoice::Auto), ("plain", |c| c.contract == ContractChoice::Plain), ("node", |c| c.contract == ContractChoice::Node), ("capture", |c| c.contract == ContractChoice::Capture)], &["docker", "Plain"]),
    ("READY", |c| c.ready == Ready::Auto, &[("notify", |c| c.ready == Ready::Notify), ("listening", |c| c.ready == Ready::Listening), ("delay:2s", |c| c.ready == Ready::Delay(secs(2)))], &["now", "delay:"]),
    ("READY_MIN", |c| c.ready_min.of(4) == 1, &[("50%", |c| c.ready_min.of(3) == 2), ("3", |c| c.ready_min.of(2) == 2)], &["0", "101%", "half"]),
    ("START_TIMEOUT", |c| c.start_timeout == Some(secs(60)), &[("5", |c| c.start_timeout == Some(secs(5))), ("off", |c| c.start_timeout.is_none())], &["0", "-1"]),
    ("WATCHDOG", |c| c.watchdog.is_none(), &[("10s", |c| c.watchdog == Some(secs(10)))], &["0s", "on"]),
    ("STALL_TIMEOUT", |c| c.stall_timeout == Some(Duration::from_millis(500)), &[("2s", |c| c.stall_timeout == Some(secs(2))), ("off", |c| c.stall_timeout.is_none())], &["0", "99ms"]),
    ("CAPTURE_UDP", |c| !c.capture_udp, &[("on", |c| c.capture_udp), ("0", |c| !c.capture_udp)], &["udp"]),
    ("RESTART_SIGNAL", |c| c.restart_signals.len() == 2, &[("USR2", |c| c.restart_signals.len() == 1)], &["TERM", "KILL", "NOPE"]),
    ("SURGE", |c| c.surge == SurgeChoice::Cpus, &[("50%", |c| c.surge == SurgeChoice::Percent(n(50))), ("all", |c| c.surge == SurgeChoice::All)], &["0", "few"]),
    ("MAX_DRAINING", |c| c.max_draining.is_none(), &[("2", |c| c.max_draining == Some(n(2))), ("WORKERS", |c| c.max_draining.is_none())], &["0", "all"]),
    ("CANARY", |c| c.canary == Some(Duration::ZERO), &[("off", |c| c.canary.is_none()), ("10s", |c| c.canary == Some(secs(10)))], &["0s", "1", "maybe"]),
    ("ON_FAILED_ROLL", |c| c.on_failed_roll == FailedRoll::Rollback, &[("keep", |c| c.on_failed_roll == FailedRoll::Keep)], &["abort"]),
    ("START_ATTEMPTS", |c| c.start_attempts.get() == 3, &[("5", |c| c.start_attempts.get() == 5)], &["0", "70000"]),
    ("BACKOFF", |c| (c.backoff_base, c.backoff_cap) == (Duration::from_millis(100), secs(30)), &[("1s-1m", |c| (c.backoff_base, c.backoff_cap) == (secs(1), secs(60)))], &["1s", "2s-1s", "0s-1s"]),
    ("WATCH", |c| c.watch.is_empty(), &[("/a, /b,/a", |c| c.watch == ["/a", "/b"].map(std::path::PathBuf::from))], &["a", "/a,"]),
    ("STOP_SIGNAL", |c| c.stop_signal.number() == 15, &[("quit", |c| c.stop_signal.number() == 3)], &["CHLD", "STOP", "SIG"]),
    ("KILL_TIMEOUT", |c| c.kill_timeout == secs(30), &[("2m", |c| c.kill_timeout == secs(120) && c.stop_timeout == secs(120))], &["0", "off"]),
    ("STOP_TIMEOUT", |c| c.stop_timeout == secs(30), &[("8s", |c| c.stop_timeout == secs(8)), ("KILL_TIMEOUT", |c| c.stop_timeout == secs(30))], &["0", "off"]),
    ("SHUTDOWN_DELAY", |c| c.shutdown_delay == Duration::ZERO, &[("5s", |c| c.shutdown_delay == secs(5)), ("0", |c| c.shutdown_delay == Duration::ZERO)], &["off", "-1s"]),
    ("CHDIR", |c| c.chdir.is_none(), &[("srv", |c| c.chdir == Some("srv".into()))], &[]),
    ("ENV_DIR", |c| c.env_dir.is_none(), &[("/etc/env", |c| c.env_dir == Some("/etc/env".into()))], &[]),
    ("WORKER_ENV_", |c| c.worker_env.is_empty(), &[(" x ", |c| c.worker_env == [("NOFILE".into(), " x ".into())])], &[]),
    ("BEFORE_FORK", |c| c.before_fork.is_none(), &[("a b", |c| c.before_fork == Some(vec!["a".into(), "b".into()]))], &["a\\"]),
    ("USER", |c| c.user.is_none(), &[("www:33", |c| c.user.as_ref().unwrap().group == Some(Account::Id(33)))], &["a b", ":"]),
    ("NO_NEW_PRIVS", |c| !c.no_new_privs, &[("on", |c| c.no_new_privs), ("1", |c| c.no_new_privs), ("false", |c| !c.no_new_privs)], &["2"]),
    ("RLIMIT_", |c| c.rlimits.is_empty(), &[("5:6", |c| c.rlimits[0].hard == Some(6)), ("infinity", |c| c.rlimits[0].soft.is_none())], &["6:5", "x"]),
    ("NICE", |c| c.nice.is_none(), &[("-5", |c| c.nice == Some(-5))], &["20", "-21", "low"]),
    ("OOM_SCORE_ADJ", |c| c.oom_score_adj.is_none(), &[("500", |c| c.oom_score_adj == Some(500))], &["1001", "1e3"]),
    ("PDEATHSIG", |c| c.pdeathsig.is_none(), &[("KILL", |c| c.pdeathsig.unwrap().number() == 9)], &["0", "65"]),
    ("NODE_KEEPALIVE", |c| !c.node_keepalive, &[("on", |c| c.node_keepalive)], &["yes please"]),
    ("OUTPUT", |c| c.output == Output::Inherit, &[("json", |c| c.output == Output::Json)], &["file"]),
    ("LOG", |c| c.log.to_string() == "info", &[("warn,roll=debug", |c| c.log.level == Level::Warn && c.log.targets.len() == 1)], &["loud", "a=b"]),
    ("LOG_FORMAT", |c| c.log_format == LogFormat::Auto, &[("bunyan", |c| c.log_format == LogFormat::Bunyan)], &["xml"]),
    ("CONTROL", |c| c.control == Control::Auto, &[("off", |c| c.control == Control::Off), ("auto", |c| c.control == Control::Auto)], &["a", "@a"]),
    ("HTTP", |c| c.http.is_none(), &[("off", |c| c.http.is_none()), (":9102", |c| c.http.is_some())], &["on", "localhost:1"]),
];

/// A variable of the setting, and its flag with a value, as one word.
fn both_ways(setting: &settings::Setting, value: &str) -> (String, String) {
    if setting.is_family() {
        let member = format!("{}{}NOFILE", settings::PREFIX, setting.name);
        return (member, format!("--{}=NOFILE={value}", setting.flag()));
    }
    (setting.variable(), format!("--{}={value}", setting.flag()))
}

#[test]
fn every_setting_has_one_row() {
    let rows: BTreeSet<_> = TABLE.iter().map(|row| row.0).collect();
    let known: BTreeSet<_> = settings::all().map(|setting| setting.name).collect();
    assert_eq!(rows, known);
    assert_eq!(TABLE.len(), known.len());
}

#[test]
fn every_setting_has_its_default_and_takes_good_values_both_ways() {
    for (name, default, good, _) in TABLE {
        let setting = settings::named(name).unwrap();
        assert!(default(&config(&[], &["default"])), "{name} by default");
        for (value, check) in *good {
            let (variable, flag) = both_ways(setting, value);
            assert!(check(&config(&[(&variable, value)], &["default"])), "{variable}={value}");
            assert!(check(&config(&[], &[&flag, "default"])), "{flag}");
        }
    }
}

#[test]
fn every_bad_value_is_one_fault_that_says_what_would_do() {
    for (name, _, _, bad) in TABLE {
        let setting = settings::named(name).unwrap();
        for value in *bad {
            let (variable, flag) = both_ways(setting, value);
            let told = faults(&[(&variable, value)], &["default"]);
            assert_eq!(told.len(), 1, "{variable}={value}: {told:?}");
            assert!(told[0].starts_with(&format!("{variable}={value}: ")), "{}", told[0]);
            assert!(told[0].contains("(from the environment)"), "{}", told[0]);
            assert!(told[0].contains(setting.allowed), "{}", told[0]);
            let told = faults(&[], &[&flag, "default"]);
            assert!(told[0].starts_with(&format!("{flag}: ")), "{flag}: {}", told[0]);
            assert!(told[0].contains("(from the command line)"), "{}", told[0]);
        }
    }
}

#[test]
fn every_example_is_accepted() {
    for setting in settings::all() {
        let (variable, flag) = both_ways(setting, setting.example);
        let base = [("DUTCH_MASTER_LISTEN", "base=:1")];
        let needed = if setting.name == "LISTEN" { &base[..0] } else { &base[..] };
        let mut variables = needed.to_vec();
        variables.push((&variable, setting.example));
        config(&variables, &["a"]);
        config(needed, &[&flag, "a"]);
    }
}

#[test]
fn settings_that_make_no_sense_together_are_told() {
    for (flags, reason) in [
        (&["--contract=plain", "--ready=listening"][..], "--ready=listening: nobody sees"),
        (&["--contract=systemd", "--listen=:1", "--ready=listening"], "with CONTRACT=systemd"),
        (
            &["--contract=plain", "--balance=round-robin"],
            "--balance=round-robin: only CONTRACT=node",
        ),
        (&["--contract=node", "--balance=slot"], "--balance=slot: CONTRACT=node knows"),
        (&["--contract=systemd"], "--contract=systemd: needs LISTEN"),
        (
            &["--contract=plain", "--capture-udp"],
            "--capture-udp=on: only CONTRACT=capture sees UDP",
        ),
        (&["--balance=shared", "--capture-udp"], "with BALANCE=shared workers have no sockets"),
        (&["--backoff=30s-1s"], "the first wait is above the longest"),
        (&["--kill-timeout=0"], "must be at least 1ms"),
        (&["--listen=:1", "--listen=:1"], "--listen=:1,:1: :1: the same address"),
    ] {
        let told = faults(&[], &[flags, &["a"]].concat());
        assert_eq!(told.len(), 1, "{flags:?}: {told:?}");
        assert!(told[0].contains(reason), "{flags:?}: {}", told[0]);
    }
    config(&[], &["--contract=systemd", "--listen=:1", "--balance=slot", "a"]);
    config(&[], &["--contract=capture", "--balance=shared", "a"]);
    config(&[], &["--kill-timeout=10m", "--stop-timeout=8s", "a"]);
}

#[test]
fn all_faults_of_one_start_are_told_at_once() {
    let variables = [
        ("DUTCH_MASTER_WORKERS", "none"),
        ("DUTCH_MASTER_KILL_TIMEOUT", "0"),
        ("DUTCH_MASTER_RLIMIT_NOFILE", "x"),
        ("DUTCH_MASTER_LISTEN", "host:1"),
    ];
    let told = start(&variables, &["--nice=99", "a"]).unwrap_err();
    assert_eq!(told.len(), 5, "{told:?}");
    assert_eq!(exit_code(&told), 78);
    let told = start(&variables, &["--colour", "a"]).unwrap_err();
    assert_eq!((told.len(), exit_code(&told)), (5, 64));
}

#[test]
fn the_flag_wins_over_the_variable() {
    let variables = [
        ("DUTCH_MASTER_WORKERS", "2"),
        ("DUTCH_MASTER_LISTEN", ":1,:2"),
        ("DUTCH_MASTER_WORKER_ENV_A", "1"),
        ("DUTCH_MASTER_WORKER_ENV_B", "1"),
        ("DUTCH_MASTER_NICE", "bad"),
        ("DUTCH_MASTER_WORKER", "from variable"),
    ];
    let flags = ["--workers=3", "--listen=:3", "--worker-env=B=2", "--nice=1", "from", "words"];
    let found = config(&variables, &flags);
    assert_eq!(found.workers, Workers::Fixed(n(3)));
    assert_eq!(found.listen.len(), 1);
    assert_eq!(found.worker_env, [("A", "1"), ("B", "2")].map(|(a, b)| (a.into(), b.into())));
    assert_eq!(found.command, ["from", "words"]);
    assert_eq!(config(&variables, &["--nice=1"]).command, ["from", "variable"]);
}

#[test]
fn a_verb_that_needs_no_settings_works_with_broken_ones() {
    let broken = [("DUTCH_MASTER_WORKERS", "none"), ("DUTCH_MASTER_COLOUR", "red")];
    for words in [&["--help"][..], &["-V"], &["man"], &["completions", "zsh"], &["exec", "a"]] {
        let (_, warnings) = start(&broken, words).unwrap();
        assert!(warnings.is_empty(), "{words:?}");
    }
    assert_eq!(faults(&broken, &["config"]).len(), 1);
}

#[test]
fn no_command_is_bad_usage_where_one_is_needed() {
    for words in [&[][..], &["run"], &["init"], &["--"]] {
        let told = start(&[], words).unwrap_err();
        assert!(told[0].to_string().starts_with("no command"), "{words:?}");
        assert_eq!(exit_code(&told), 64);
    }
    assert!(start(&[], &["config"]).is_ok());
    assert_eq!(start(&[("DUTCH_MASTER_WORKER", "a b")], &["init"]).unwrap().0.verb, Verb::Init);
}

#[test]
fn a_row_shows_value_and_origin_and_no_secret() {
    let variables = [("DUTCH_MASTER_WORKERS", " 2 "), ("DUTCH_MASTER_WORKER_ENV_TOKEN", "hunter2")];
    let (invocation, _) =
        start(&variables, &["config", "--kill-timeout=5s", "sh", "-c", "a b"]).unwrap();
    let row = |name: &str| invocation.rows.iter().find(|row| row.variable.ends_with(name)).unwrap();
    assert_eq!(row("_WORKERS").value.as_deref(), Some("2"));
    assert_eq!(row("_WORKERS").source, Source::Environment);
    assert_eq!(row("_KILL_TIMEOUT").source, Source::CommandLine);
    assert_eq!(row("_STOP_TIMEOUT").value.as_deref(), Some("KILL_TIMEOUT"));
    assert_eq!(row("_WORKER").value.as_deref(), Some("sh -c 'a b'"));
    assert_eq!(row("_TOKEN").source, Source::Environment);
    assert!(!format!("{:?}", invocation.rows).contains("hunter2"));
}

#[test]
fn rules_follow_from_the_settings() {
    let found = config(&[], &["--kill-timeout=8s", "--surge=cpus", "--on-failed-roll=keep", "a"]);
    let rules = found.rules(n(6), 7);
    assert_eq!(rules.surge, dutch_master::Surge::Count(n(6)));
    assert_eq!((rules.kill_timeout, rules.drain_timeout), (secs(8), secs(6)));
    assert_eq!(rules.on_failed_roll, dutch_master::OnFailedRoll::Keep);
    assert_eq!(rules.jitter_seed, 7);
    assert_eq!(config(&[], &["a"]).rules(n(1), 0).drain_timeout, secs(25));
}

proptest! {
    #[test]
    fn whatever_is_accepted_makes_a_policy(
        kill in 0_u64..100_000_000, stop in 0_u64..100, life in 0_u64..5, base in 0_u64..50, cap in 0_u64..50,
    ) {
        let flags = [
            format!("--kill-timeout={kill}us"),
            format!("--stop-timeout={stop}ms"),
            format!("--max-lifetime={life}s"),
            format!("--backoff={base}ms-{cap}ms"),
            "a".to_owned(),
        ];
        if let Ok((invocation, _)) = load(std::iter::empty(), flags.into_iter().map(OsString::from)) {
            let policy = dutch_master::Policy::new(invocation.config.rules(n(2), 0));
            prop_assert!(policy.is_ok());
        }
    }

    #[test]
    fn no_start_upsets_us(name in "[A-Z_]{0,12}", value in any::<String>(), words: Vec<String>) {
        let variables = settings::all()
            .map(|setting| (setting.variable(), value.clone()))
            .chain([(format!("DUTCH_MASTER_{name}"), value.clone())]);
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let _ = load(variables, words.into_iter().map(OsString::from));
    }
}
