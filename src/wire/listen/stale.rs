//! Variables that must not reach a worker from the master's own environment.

/// A variable, or a family of them, and why a worker must not inherit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale {
    /// The variable's name, or how its name begins.
    pub name: &'static str,
    /// Whether every variable that begins so is meant.
    pub prefix: bool,
    /// What would go wrong.
    pub reason: &'static str,
}

const fn exact(name: &'static str, reason: &'static str) -> Stale {
    Stale { name, prefix: false, reason }
}

const fn family(name: &'static str, reason: &'static str) -> Stale {
    Stale { name, prefix: true, reason }
}

/// All of them. A contract adds its own values after these have been dropped.
pub const STALE: &[Stale] = &[
    family("DUTCH_MASTER_", "settings of the master; a worker gets its own three"),
    exact("LISTEN_FDS", "counts descriptors that the master was given, not the worker"),
    exact("LISTEN_FDNAMES", "names descriptors that the master was given, not the worker"),
    exact(
        "LISTEN_PID",
        "is the master's pid; libraries ignore their sockets when it is not theirs",
    ),
    exact("LISTEN_PIDFDID", "is the master's pidfd id; newer systemd checks it as LISTEN_PID"),
    exact(
        "NOTIFY_SOCKET",
        "is where the master speaks to its own supervisor; a worker would speak for it",
    ),
    exact("WATCHDOG_USEC", "is the master's own watchdog"),
    exact(
        "WATCHDOG_PID",
        "is the master's own watchdog; a worker takes no notice of its own while this is not its pid",
    ),
    family(
        "NODE_CHANNEL_",
        "is the channel to the master's own parent; a Node worker would take an unrelated descriptor for its channel",
    ),
    exact("NODE_UNIQUE_ID", "makes a Node program believe that it is a cluster's worker"),
    family(
        "EINHORN_",
        "einhorn's master is somebody else's; its libraries check EINHORN_MASTER_PID",
    ),
    family("SERVER_STARTER_", "Server::Starter's descriptors are somebody else's"),
    exact("NGINX", "makes nginx take unrelated descriptors for its listeners"),
    exact("FPM_SOCKETS", "makes php-fpm take unrelated descriptors for its listeners"),
    exact("UNICORN_FD", "makes unicorn take unrelated descriptors for its listeners"),
];

/// Why a variable must not be inherited, if it must not. Names are bytes, since they need not be UTF-8.
#[must_use]
pub fn stale(name: &[u8]) -> Option<&'static Stale> {
    STALE.iter().find(|stale| {
        let known = stale.name.as_bytes();
        if stale.prefix { name.starts_with(known) } else { name == known }
    })
}
