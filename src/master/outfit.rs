//! What every worker is started with: its rights, limits, and the place of its sockets.

use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use tracing::warn;

use super::{
    boot::{EXIT_CONFIG, Refusal, refuse},
    choose::Choice,
    einhorn::Einhorn,
    launch::Kit,
};
use crate::{
    config::{Account, Config},
    contract::{Kind, Readiness, node::preload::Preload, systemd::Link},
    sys::{
        host::{self, RuntimeDir},
        limits::{self, Limit, Limits, OomScore, Resource},
        spawn::Credentials,
        users,
    },
};

/// How much more readily than us the kernel is to kill workers when memory is out.
const OOM_STEP: i16 = 100;

/// All of it.
pub(super) fn kit(
    config: &Config,
    choice: &Choice,
    credentials: Option<Credentials>,
    runtime: Option<RuntimeDir>,
    einhorn: Option<&Einhorn>,
) -> Kit {
    let &Choice { kind, trial, .. } = choice;
    // Before we raise our own: each worker costs us several descriptors, but select(2) makes many programs
    // unsafe above 1024.
    let inherited: Vec<_> = Resource::from_name("NOFILE").map(limits::raise).into_iter().collect();
    Kit {
        command: config.command.clone(),
        preload: runtime
            .as_ref()
            .filter(|_| config.node_keepalive && kind == Kind::Node)
            .and_then(write_preload),
        kind,
        trial,
        credentials,
        // What a filter may be set with.
        limits: Limits {
            no_new_privs: config.no_new_privs || kind == Kind::Capture,
            rlimits: inherited.iter().copied().chain(asked(config)).collect(),
            ..limits(config)
        },
        inherited,
        einhorn: einhorn.map(|einhorn| einhorn.path().to_owned()),
        watchdog: config.watchdog,
        output: config.output,
        sockets: runtime,
    }
}

fn write_preload(directory: &RuntimeDir) -> Option<Preload> {
    Preload::write(directory.path())
        .inspect_err(
            |error| warn!(target: "master", problem = %error, "NODE_KEEPALIVE can't be had"),
        )
        .ok()
}

/// Where sockets for workers can be. Of the writable places only /dev/shm is in every image.
pub(super) fn runtime_directory(readiness: &Readiness) -> Result<Option<RuntimeDir>, Refusal> {
    let own = format!("dutch-master-{}-{}", host::uid(), host::pid_namespace());
    let places = [
        PathBuf::from("/run/dutch-master"),
        Path::new("/dev/shm").join(&own),
        Path::new("/tmp").join(&own),
    ];
    match RuntimeDir::make(&places) {
        Ok(directory) => {
            Link::sweep(directory.path());
            Ok(Some(directory))
        }
        Err(error) if *readiness == Readiness::Notify => {
            Err(refuse(EXIT_CONFIG, "workers could not say that they are ready", &error))
        }
        Err(error) => {
            warn!(target: "master", problem = %error, "workers get no NOTIFY_SOCKET");
            Ok(None)
        }
    }
}

/// Whom workers run as, if not as we do.
pub(super) fn credentials(config: &Config, root: &Dir) -> Result<Option<Credentials>, Refusal> {
    let Some(spec) = &config.user else { return Ok(None) };
    let text = |account: &Account| match account {
        Account::Id(id) => id.to_string(),
        Account::Name(name) => name.clone(),
    };
    let group = spec.group.as_ref().map(text);
    users::resolve(root, &text(&spec.user), group.as_deref())
        .map(|found| Some(Credentials { uid: found.uid, gid: found.gid, groups: found.groups }))
        .map_err(|error| refuse(EXIT_CONFIG, "USER is nobody", &error))
}

fn limits(config: &Config) -> Limits {
    let narrow = |value: i32| i16::try_from(value).unwrap_or_default();
    let ours = std::fs::read_to_string("/proc/self/oom_score_adj").ok();
    let ours: i16 = ours.and_then(|text| text.trim().parse().ok()).unwrap_or_default();
    Limits {
        rlimits: Vec::new(),
        nice: config.nice.and_then(|nice| i8::try_from(nice).ok()),
        oom_score_adj: match config.oom_score_adj {
            Some(score) => OomScore::Require(narrow(score)),
            None => OomScore::Prefer(ours.saturating_add(OOM_STEP).min(1000)),
        },
        pdeathsig: config.pdeathsig.map(crate::config::Signal::number),
        no_new_privs: config.no_new_privs,
    }
}

/// The operator's limits.
fn asked(config: &Config) -> impl Iterator<Item = Limit> {
    config.rlimits.iter().filter_map(|limit| {
        let resource = Resource::from_name(limit.resource.name())?;
        Some(Limit { resource, soft: limit.soft, hard: limit.hard })
    })
}
