//! What a process may use and how it is treated: values, for spawn to apply in the child.

use rustix::process as kernel;

/// A resource with a limit, setrlimit(2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Resource(pub(super) kernel::Resource);

/// Names as in setrlimit(2), without `RLIMIT_`.
const NAMES: &[(&str, kernel::Resource)] = &[
    ("AS", kernel::Resource::As),
    ("CORE", kernel::Resource::Core),
    ("CPU", kernel::Resource::Cpu),
    ("DATA", kernel::Resource::Data),
    ("FSIZE", kernel::Resource::Fsize),
    ("LOCKS", kernel::Resource::Locks),
    ("MEMLOCK", kernel::Resource::Memlock),
    ("MSGQUEUE", kernel::Resource::Msgqueue),
    ("NICE", kernel::Resource::Nice),
    ("NOFILE", kernel::Resource::Nofile),
    ("NPROC", kernel::Resource::Nproc),
    ("RSS", kernel::Resource::Rss),
    ("RTPRIO", kernel::Resource::Rtprio),
    ("RTTIME", kernel::Resource::Rttime),
    ("SIGPENDING", kernel::Resource::Sigpending),
    ("STACK", kernel::Resource::Stack),
];

impl Resource {
    /// By its name, `NOFILE` for `RLIMIT_NOFILE`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|&(_, resource)| Self(resource))
    }
}

/// A limit; None is "unlimited".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limit {
    /// What is limited.
    pub(crate) resource: Resource,
    /// The limit in force.
    pub(crate) soft: Option<u64>,
    /// How far the process itself may raise it.
    pub(crate) hard: Option<u64>,
}

/// The limits in force for us.
pub(crate) fn current(resource: Resource) -> Limit {
    let limit = kernel::getrlimit(resource.0);
    Limit { resource, soft: limit.current, hard: limit.maximum }
}

/// Raises a limit of ours as far as we may. Returns what it was, for those who should have that.
pub(crate) fn raise(resource: Resource) -> Limit {
    let before = current(resource);
    let most = kernel::Rlimit { current: before.hard, maximum: before.hard };
    // Refused by a sandbox at worst; then it stays as it was.
    let _ = kernel::setrlimit(resource.0, most);
    before
}

/// A value for `oom_score_adj`, -1000 to 1000: who is killed first when memory is out (proc(5)).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum OomScore {
    /// As ours.
    #[default]
    Keep,
    /// This, if the kernel lets us.
    Prefer(i16),
    /// This, or the start fails. Lowering it takes a privilege.
    Require(i16),
}

/// Everything that spawn sets for a child beside descriptors and credentials.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Limits {
    /// Resource limits, set in this order.
    pub(crate) rlimits: Vec<Limit>,
    /// The nice value itself, -20 to 19, not an increment.
    pub(crate) nice: Option<i8>,
    /// Who is killed first when memory is out.
    pub(crate) oom_score_adj: OomScore,
    /// The signal that the child gets when we die.
    pub(crate) pdeathsig: Option<i32>,
    /// Nothing that the child executes may gain privileges by set-user-id or file capabilities.
    pub(crate) no_new_privs: bool,
}
