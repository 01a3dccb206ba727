//! Users and groups as an operator names them, and what a worker's process is allowed.

/// A user or group, not looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    /// By number.
    Id(u32),
    /// By its name in /etc/passwd or /etc/group.
    Name(String),
}

/// Who the workers run as (`USER`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserSpec {
    /// The user.
    pub(crate) user: Account,
    /// The group; `None` means the user's own groups.
    pub(crate) group: Option<Account>,
}

/// A resource limit of a worker (`RLIMIT_…`); `None` is "infinity".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResourceLimit {
    /// Of what.
    pub(crate) resource: Resource,
    /// The limit that counts.
    pub(crate) soft: Option<u64>,
    /// How far the worker may raise it; never below `soft`.
    pub(crate) hard: Option<u64>,
}

/// What getrlimit(2) can limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    name: &'static str,
    number: u32,
}

impl Resource {
    /// Its name without `RLIMIT_`, in capitals.
    pub(crate) const fn name(self) -> &'static str {
        self.name
    }

    /// The kernel's number for it (asm-generic/resource.h).
    pub(crate) const fn number(self) -> u32 {
        self.number
    }
}
