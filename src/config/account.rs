//! Users and groups as an operator names them, and the limits of a worker's process.

use super::{nearest, units};

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
pub(crate) struct Resource(&'static str);

/// Every resource that Linux limits, without `RLIMIT_`.
const RESOURCES: [&str; 16] = [
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
];

impl Resource {
    /// The resource of this name, without `RLIMIT_`, in any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        RESOURCES.into_iter().find(|known| known.eq_ignore_ascii_case(name)).map(Self)
    }

    /// The name that was meant by one that does not exist.
    pub(crate) fn nearest(name: &str) -> Option<&'static str> {
        nearest::nearest(&name.to_ascii_uppercase(), RESOURCES.into_iter())
    }

    /// Its name without `RLIMIT_`, in capitals.
    pub(crate) const fn name(self) -> &'static str {
        self.0
    }
}

/// A user or group: a number, or a name as useradd(8) allows it and somewhat beyond.
pub(crate) fn account(text: &str) -> Result<Account, String> {
    if text.starts_with(|letter: char| letter.is_ascii_digit()) {
        return match units::number::<u32>(text) {
            // The kernel reads this id as "leave as it is".
            Ok(u32::MAX) => Err(format!("{text} is out of range")),
            Ok(id) => Ok(Account::Id(id)),
            Err(problem) => Err(problem),
        };
    }
    let fits =
        |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.' | '$' | '@');
    if text.is_empty() || text.starts_with('-') || !text.chars().all(fits) {
        return Err(format!("{text:?} is not the name of a user or group"));
    }
    Ok(Account::Name(text.to_owned()))
}

/// `USER` or `USER:GROUP`.
pub(crate) fn user(text: &str) -> Result<UserSpec, String> {
    match text.split_once(':') {
        None => Ok(UserSpec { user: account(text)?, group: None }),
        Some((user, group)) => Ok(UserSpec { user: account(user)?, group: Some(account(group)?) }),
    }
}

/// `SOFT` or `SOFT:HARD` for this resource; one number is both.
pub(crate) fn limit(resource: Resource, text: &str) -> Result<ResourceLimit, String> {
    let (soft, hard) = text.split_once(':').unwrap_or((text, text));
    let (soft, hard) = (bound(soft)?, bound(hard)?);
    match (soft, hard) {
        (None, Some(_)) => Err("the soft limit is above the hard one".to_owned()),
        (Some(soft), Some(hard)) if soft > hard => {
            Err("the soft limit is above the hard one".to_owned())
        }
        _ => Ok(ResourceLimit { resource, soft, hard }),
    }
}

/// One limit; `None` is infinity.
fn bound(text: &str) -> Result<Option<u64>, String> {
    match text {
        "infinity" | "unlimited" => Ok(None),
        // The kernel's own word for infinity, so nobody can mean the number.
        _ => match units::number::<u64>(text)? {
            u64::MAX => Err(format!("{text} is out of range")),
            number => Ok(Some(number)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, Resource, ResourceLimit, UserSpec, account, limit, user};

    #[test]
    fn a_user_is_a_name_or_a_number_with_or_without_a_group() {
        let www = Account::Name("www-data".to_owned());
        assert_eq!(user("www-data"), Ok(UserSpec { user: www.clone(), group: None }));
        assert_eq!(
            user("1000:www-data"),
            Ok(UserSpec { user: Account::Id(1000), group: Some(www) })
        );
        for text in ["", ":", "a:", ":b", "a b", "-a", "a:b:c", "4294967295", "12x", "a/b"] {
            assert!(user(text).is_err(), "{text}");
        }
        assert_eq!(account("0"), Ok(Account::Id(0)));
    }

    #[test]
    fn a_limit_is_soft_and_hard_and_never_upside_down() {
        let nofile = Resource::named("nofile").unwrap();
        assert_eq!(nofile.name(), "NOFILE");
        let whole = |soft, hard| Ok(ResourceLimit { resource: nofile, soft, hard });
        assert_eq!(limit(nofile, "1024:4096"), whole(Some(1024), Some(4096)));
        assert_eq!(limit(nofile, "0"), whole(Some(0), Some(0)));
        assert_eq!(limit(nofile, "1024:infinity"), whole(Some(1024), None));
        assert_eq!(limit(nofile, "unlimited"), whole(None, None));
        for text in ["", ":", "5:4", "infinity:4", "-1", "1:2:3", "18446744073709551615", "x"] {
            assert!(limit(nofile, text).is_err(), "{text}");
        }
        assert_eq!(Resource::nearest("NOFILES"), Some("NOFILE"));
        assert_eq!(Resource::named("FILES"), None);
    }
}
