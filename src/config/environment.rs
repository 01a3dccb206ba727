//! The environment to what was typed: envy reads our variables into one raw struct of texts.
//!
//! envy must be fed with care: it panics on a variable that is not UTF-8, stops at its first error
//! and strips a doubled prefix twice. So it sees only variables that are ours, known, trimmed,
//! readable and not empty, without their prefix, and only as texts.

use std::ffi::OsString;

use super::account::Resource;
use super::fault::{Fault, Source, Warning};
use super::nearest;
use super::settings::{self, PREFIX, Setting};
use super::typed::{Given, Member, Typed};

/// Declares the raw struct, and the way from its fields back to their names.
macro_rules! raw {
    ($($field:ident)*) => {
        /// Every setting that is one variable, as the text it holds.
        #[derive(Debug, Default, serde::Deserialize)]
        struct Raw { $($field: Option<String>,)* }

        impl Raw {
            /// The fields that are set, by name.
            fn into_texts(self) -> Vec<(&'static str, String)> {
                let all = [$((stringify!($field), self.$field),)*];
                all.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
            }
        }
    };
}

raw! {
    worker workers worker_memory num_workers_command max_lifetime max_memory
    listen balance contract ready ready_min start_timeout watchdog stall_timeout capture_udp
    restart_signal surge max_draining canary on_failed_roll start_attempts backoff watch
    stop_signal kill_timeout stop_timeout shutdown_delay
    chdir env_dir before_fork user no_new_privs nice oom_score_adj pdeathsig node_keepalive
    output log log_format control http
}

/// What a worker is told, which a master inside a worker must not take for settings.
const TOLD_TO_WORKERS: [&str; 3] = ["WORKER_ID", "SLOT", "GENERATION"];

/// What the environment says.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    /// The settings in it.
    pub(crate) typed: Typed,
    /// Variables that look like ours and are not.
    pub(crate) warnings: Vec<Warning>,
    /// Variables that cannot be read.
    pub(crate) faults: Vec<Fault>,
}

/// Reads every variable that begins with our prefix.
pub(crate) fn read(variables: impl Iterator<Item = (OsString, OsString)>) -> Environment {
    let mut found = Environment::default();
    let mut texts: Vec<(String, String)> = Vec::new();
    for (key, value) in variables {
        if !key.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let key = key.to_string_lossy();
        let name = key.strip_prefix(PREFIX).unwrap_or_default();
        if is_kubernetes_link(name) || TOLD_TO_WORKERS.contains(&name) {
            continue;
        }
        if let Some((family, rest)) = member_of(name) {
            found.member(family, rest, value);
        } else if let Some(setting) = settings::named(name).filter(|known| !known.is_family()) {
            // The first of two variables of one name is the one that getenv(3) sees.
            if texts.iter().all(|(other, _)| other != name) {
                texts.extend(found.text(setting, value).map(|text| (name.to_owned(), text)));
            }
        } else {
            found.warnings.push(unknown(name));
        }
    }
    found.take_texts(texts);
    found
}

impl Environment {
    /// Lets envy fill the raw struct, and notes what it holds.
    fn take_texts(&mut self, texts: Vec<(String, String)>) {
        let raw: Raw = match envy::from_iter(texts) {
            Ok(raw) => raw,
            Err(error) => {
                return self.faults.push(Fault::Usage(format!("the environment: {error}")));
            }
        };
        for (name, text) in raw.into_texts() {
            if let Some(setting) = settings::named(&name.to_ascii_uppercase()) {
                self.typed.note(setting, given(setting.variable(), text.into()));
            }
        }
    }

    /// The text for envy, unless there is none or it is a path that is no text.
    fn text(&mut self, setting: &'static Setting, value: OsString) -> Option<String> {
        match value.to_str().map(str::trim) {
            Some("") => {}
            Some(text) => return Some(text.to_owned()),
            None if setting.is_path() => {
                self.typed.note(setting, given(setting.variable(), value));
            }
            None => self.faults.push(Fault::Value {
                name: setting.variable(),
                value: value.to_string_lossy().into_owned(),
                source: Source::Environment,
                problem: "is not UTF-8".to_owned(),
                allowed: setting.allowed,
                example: setting.example,
            }),
        }
        None
    }

    /// Notes a member of a family; a worker's variable stays as it is, even when empty.
    fn member(&mut self, family: &'static Setting, rest: &str, value: OsString) {
        let is_empty = value.to_str().is_some_and(|text| text.trim().is_empty());
        let is_doubled =
            self.typed.members.iter().any(|m| m.family.name == family.name && m.rest == rest);
        if is_doubled || (is_empty && !family.is_secret()) {
            return;
        }
        let label = format!("{PREFIX}{}{rest}", family.name);
        self.typed.note_member(Member {
            family,
            rest: rest.to_owned(),
            given: given(label, value),
        });
    }
}

/// One value from the environment.
fn given(label: String, value: OsString) -> Given {
    Given { label, source: Source::Environment, values: vec![value] }
}

/// The family of a variable, if there can be such a member.
fn member_of(name: &str) -> Option<(&'static Setting, &str)> {
    settings::family_of(name)
        .filter(|(family, rest)| family.name != "RLIMIT_" || Resource::named(rest).is_some())
}

/// Kubernetes sets such variables where a Service has our name.
fn is_kubernetes_link(name: &str) -> bool {
    name == "PORT" || name.starts_with("PORT_") || name.starts_with("SERVICE_")
}

/// A warning that names the variable that was meant.
fn unknown(name: &str) -> Warning {
    let known = settings::all().filter(|setting| !setting.is_family()).map(|setting| setting.name);
    let limit = name.strip_prefix("RLIMIT_").and_then(Resource::nearest);
    let meant = match limit {
        Some(resource) => Some(format!("RLIMIT_{resource}")),
        None => nearest::nearest(name, known).map(str::to_owned),
    };
    let hint = meant.map(|known| format!("; did you mean {PREFIX}{known}?")).unwrap_or_default();
    Warning(format!("{PREFIX}{}: unknown variable, ignored{hint}", super::fault::printable(name)))
}

#[cfg(test)]
mod tests {
    use super::{Environment, Raw, read};
    use crate::config::settings;
    use std::collections::BTreeSet;
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;

    fn of(pairs: &[(&str, &str)]) -> Environment {
        read(pairs.iter().map(|&(key, value)| (key.into(), value.into())))
    }

    fn bytes(bytes: &[u8]) -> OsString {
        OsStr::from_bytes(bytes).to_owned()
    }

    #[test]
    fn the_raw_struct_has_a_field_for_every_setting() {
        let all = settings::all().filter(|setting| !setting.is_family());
        let names: BTreeSet<String> = all.map(|setting| setting.name.to_lowercase()).collect();
        let texts = names.iter().map(|name| (name.clone(), "x".to_owned()));
        let raw: Raw = envy::from_iter(texts).unwrap();
        let fields: BTreeSet<String> =
            raw.into_texts().into_iter().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, fields);
    }

    #[test]
    fn values_are_trimmed_and_empty_ones_dropped() {
        let found = of(&[
            ("DUTCH_MASTER_WORKERS", " 4\n"),
            ("DUTCH_MASTER_USER", " "),
            ("DUTCH_MASTER_RLIMIT_CORE", ""),
            ("DUTCH_MASTER_WORKER_ENV_A", " b "),
            ("DUTCH_MASTER_WORKER_ENV_EMPTY", ""),
            ("WORKERS", "5"),
        ]);
        assert_eq!(found.typed.settings["WORKERS"].values, ["4"]);
        assert_eq!(found.typed.settings.len(), 1);
        let members: Vec<_> = found
            .typed
            .members
            .iter()
            .map(|m| (m.rest.as_str(), m.given.values[0].to_str()))
            .collect();
        assert_eq!(members, [("A", Some(" b ")), ("EMPTY", Some(""))]);
        assert!(found.warnings.is_empty() && found.faults.is_empty());
    }

    #[test]
    fn an_unknown_variable_is_a_warning_with_the_nearest_name() {
        let found = of(&[
            ("DUTCH_MASTER_KILL_TIMEOT", "5s"),
            ("DUTCH_MASTER_RLIMIT_NOFILES", "5"),
            ("DUTCH_MASTER_COLOUR", "red"),
            ("DUTCH_MASTER_DUTCH_MASTER_WORKERS", "5"),
            ("DUTCH_MASTER_WORKER_ENV_", "5"),
            ("DUTCH_MASTER_", "5"),
        ]);
        let warnings: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings[..3],
            [
                "DUTCH_MASTER_KILL_TIMEOT: unknown variable, ignored; \
                 did you mean DUTCH_MASTER_KILL_TIMEOUT?",
                "DUTCH_MASTER_RLIMIT_NOFILES: unknown variable, ignored; \
                 did you mean DUTCH_MASTER_RLIMIT_NOFILE?",
                "DUTCH_MASTER_COLOUR: unknown variable, ignored",
            ]
        );
        assert_eq!(warnings.len(), 6);
        assert!(found.typed.settings.is_empty());
    }

    #[test]
    fn what_kubernetes_or_a_master_above_us_sets_is_ignored_in_silence() {
        let found = of(&[
            ("DUTCH_MASTER_PORT", "tcp://10.0.0.1:80"),
            ("DUTCH_MASTER_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("DUTCH_MASTER_SERVICE_HOST", "10.0.0.1"),
            ("DUTCH_MASTER_WORKER_ID", "7"),
            ("DUTCH_MASTER_SLOT", "0"),
            ("DUTCH_MASTER_GENERATION", "1"),
        ]);
        assert!(found.warnings.is_empty() && found.typed.settings.is_empty());
    }

    #[test]
    fn no_setting_may_have_a_name_that_kubernetes_or_workers_need() {
        for setting in settings::all() {
            assert!(!super::is_kubernetes_link(setting.name), "{}", setting.name);
            assert!(!super::TOLD_TO_WORKERS.contains(&setting.name), "{}", setting.name);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_a_fault_in_our_texts_only() {
        let found = read(
            [
                (bytes(b"\xff"), bytes(b"\xff")),
                (bytes(b"DUTCH_MASTER_\xff"), bytes(b"x")),
                (bytes(b"DUTCH_MASTER_CHDIR"), bytes(b"/srv/\xff")),
                (bytes(b"DUTCH_MASTER_WORKER_ENV_A"), bytes(b"\xff")),
                (bytes(b"DUTCH_MASTER_LISTEN"), bytes(b":80\xff")),
            ]
            .into_iter(),
        );
        assert_eq!(found.typed.settings["CHDIR"].values, [bytes(b"/srv/\xff")]);
        assert_eq!(found.typed.members[0].given.values, [bytes(b"\xff")]);
        assert_eq!(found.warnings.len(), 1);
        assert_eq!(found.faults.len(), 1);
        assert!(
            found.faults[0].to_string().contains("DUTCH_MASTER_LISTEN=:80\u{fffd}: is not UTF-8")
        );
    }

    #[test]
    fn the_first_of_two_variables_of_one_name_counts() {
        let found = of(&[
            ("DUTCH_MASTER_WORKERS", "1"),
            ("DUTCH_MASTER_WORKERS", "2"),
            ("DUTCH_MASTER_WORKER_ENV_A", "1"),
            ("DUTCH_MASTER_WORKER_ENV_A", "2"),
        ]);
        assert_eq!(found.typed.settings["WORKERS"].values, ["1"]);
        assert_eq!(found.typed.members[0].given.values, ["1"]);
        assert!(found.faults.is_empty());
    }
}
