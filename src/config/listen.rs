//! Listeners: the grammar of `LISTEN`, a comma list of `[NAME=]ADDRESS[?OPTION=VALUE[&…]]`.

use super::account::{self, Account};
use super::address::{self, Address};
use super::{nearest, units};

/// One listening socket that the master is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    /// Its name in `LISTEN_FDNAMES` and `{fd:NAME}`: unique, ASCII, without a colon.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: Address,
    /// The length of the accept queue; `None` lets the kernel's limit decide.
    pub(crate) backlog: Option<u32>,
    /// IPv6 without IPv4; `None` is the kernel's default, and `false` for `:PORT`.
    pub(crate) v6only: Option<bool>,
    /// `SO_REUSEPORT`, for sharing the port with other processes.
    pub(crate) reuseport: bool,
    /// Whether an accept with nobody to accept returns at once; `None` lets the program decide.
    pub(crate) nonblock: Option<bool>,
    /// The socket file's permissions.
    pub(crate) mode: Option<u32>,
    /// The socket file's owner.
    pub(crate) user: Option<Account>,
    /// The socket file's group.
    pub(crate) group: Option<Account>,
}

/// As long as systemd lets a name be (`sd_listen_fds(3)`).
const LONGEST_NAME: usize = 255;

/// The options that may follow an address.
const OPTIONS: [&str; 7] = ["backlog", "v6only", "reuseport", "nonblock", "mode", "user", "group"];

/// Reads the listeners of one or several comma lists, which must not clash.
pub(crate) fn listeners<'a>(lists: impl Iterator<Item = &'a str>) -> Result<Vec<Listener>, String> {
    let mut found: Vec<Listener> = Vec::new();
    for entry in lists.flat_map(|list| list.split(',')).map(str::trim) {
        if entry.is_empty() {
            return Err("holds an empty entry".to_owned());
        }
        let (name, mut listener) = listener(entry)?;
        if let Some(other) = found.iter().find(|other| other.address == listener.address) {
            return Err(format!("{entry}: the same address as listener {}", other.name));
        }
        if let Some(name) = name {
            if found.iter().any(|other| other.name == name) {
                return Err(format!("{entry}: another listener is called {name}"));
            }
            listener.name = name;
        } else {
            listener.name = free_name(&default_name(&listener.address), &found);
        }
        found.push(listener);
    }
    Ok(found)
}

/// What a listener is called that nobody named: its port, its file's name, or its abstract name.
fn default_name(address: &Address) -> String {
    let plain = match address {
        Address::Tcp(inet) => inet.address.port().to_string(),
        Address::Udp(inet) => format!("udp-{}", inet.address.port()),
        Address::Unix(path) => {
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        }
        Address::Abstract(name) => String::from_utf8_lossy(name).into_owned(),
    };
    plain.chars().map(|letter| if fits_a_name(letter) { letter } else { '_' }).collect()
}

/// That name, or the first of NAME-2, NAME-3 … that nobody has.
fn free_name(name: &str, found: &[Listener]) -> String {
    let is_free = |name: &String| found.iter().all(|other| other.name != *name);
    let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}

/// What systemd allows, without what our own `{fd:NAME}` and lists need.
const fn fits_a_name(letter: char) -> bool {
    letter.is_ascii_graphic() && !matches!(letter, ':' | ',' | '{' | '}' | '=')
}

/// One entry, and its name if it has one.
fn listener(entry: &str) -> Result<(Option<String>, Listener), String> {
    let (name, rest) = match entry.split_once('=') {
        // An `=` behind one of these belongs to the address or its options.
        Some((name, rest)) if !name.contains([':', '/', '?', '@', '[']) => (Some(name), rest),
        _ => (None, entry),
    };
    if let Some(name) = name
        && (name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(fits_a_name))
    {
        return Err(format!(
            "{entry}: a name is 1 to {LONGEST_NAME} ASCII letters without space, colon or braces"
        ));
    }
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let address = address::address(place).map_err(|problem| format!("{entry}: {problem}"))?;
    let mut listener = bare(address);
    let mut seen = Vec::new();
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        if seen.contains(&key) {
            return Err(format!("{entry}: {key} is given twice"));
        }
        seen.push(key);
        set(&mut listener, key, value).map_err(|problem| format!("{entry}: {problem}"))?;
    }
    Ok((name.map(str::to_owned), listener))
}

/// A listener without options.
fn bare(address: Address) -> Listener {
    let v6only = match &address {
        Address::Tcp(inet) | Address::Udp(inet) if inet.dual_stack => Some(false),
        _ => None,
    };
    Listener {
        name: String::new(),
        address,
        backlog: None,
        v6only,
        reuseport: false,
        nonblock: None,
        mode: None,
        user: None,
        group: None,
    }
}

/// Takes one option.
fn set(listener: &mut Listener, key: &str, value: &str) -> Result<(), String> {
    fits(&listener.address, key)?;
    let because = |problem: String| format!("{key}={value}: {problem}");
    match key {
        "backlog" => listener.backlog = Some(backlog(value).map_err(because)?),
        "v6only" => listener.v6only = Some(units::switch(value).map_err(because)?),
        "reuseport" => listener.reuseport = units::switch(value).map_err(because)?,
        "nonblock" => listener.nonblock = Some(units::switch(value).map_err(because)?),
        "mode" => listener.mode = Some(mode(value).map_err(because)?),
        "user" => listener.user = Some(account::account(value).map_err(because)?),
        "group" => listener.group = Some(account::account(value).map_err(because)?),
        _ => {
            return Err(match nearest::nearest(key, OPTIONS.into_iter()) {
                Some(known) => format!("unknown option {key:?}; did you mean {known}?"),
                None => format!("unknown option {key:?}, known are {}", OPTIONS.join(", ")),
            });
        }
    }
    Ok(())
}

/// Whether an option means anything for an address.
fn fits(address: &Address, key: &str) -> Result<(), String> {
    let is_v6 = match address {
        Address::Tcp(inet) | Address::Udp(inet) => inet.address.is_ipv6() && !inet.dual_stack,
        Address::Unix(_) | Address::Abstract(_) => false,
    };
    let of = match (key, address) {
        ("v6only", _) if !is_v6 => "an IPv6 address in brackets",
        ("reuseport", Address::Unix(_) | Address::Abstract(_)) => "TCP and UDP",
        ("backlog", Address::Udp(_)) => "stream sockets",
        ("mode" | "user" | "group", Address::Tcp(_) | Address::Udp(_) | Address::Abstract(_)) => {
            "Unix sockets with a path"
        }
        _ => return Ok(()),
    };
    Err(format!("{key} is an option of {of}"))
}

/// A queue's length; listen(2) takes an int.
fn backlog(value: &str) -> Result<u32, String> {
    match units::number::<u32>(value)? {
        length @ 1..=0x7fff_ffff => Ok(length),
        _ => Err("is out of range".to_owned()),
    }
}

/// Permissions in octal.
fn mode(value: &str) -> Result<u32, String> {
    let digits = !value.is_empty() && value.chars().all(|letter| letter.is_digit(8));
    match u32::from_str_radix(value, 8) {
        Ok(mode) if digits && mode <= 0o777 => Ok(mode),
        _ => Err("is not a mode such as 0660".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Listener, listeners};
    use crate::config::Account;
    use proptest::prelude::{any, prop_assert, proptest};

    fn read(text: &str) -> Result<Vec<Listener>, String> {
        listeners(std::iter::once(text))
    }

    fn names(text: &str) -> Vec<String> {
        read(text).unwrap().into_iter().map(|listener| listener.name).collect()
    }

    #[test]
    fn a_listener_has_the_name_it_is_given_or_that_of_its_port_or_file() {
        assert_eq!(names("http=[::]:8080, :8000"), ["http", "8000"]);
        assert_eq!(names("unix:/run/a=b.sock,unix:@x:y,udp://:53"), ["a_b.sock", "x_y", "udp-53"]);
        assert_eq!(names("127.0.0.1:80,[::1]:80"), ["80", "80-2"]);
        assert_eq!(names("80-2=:81,127.0.0.1:80,[::1]:80"), ["80-2", "80", "80-3"]);
    }

    #[test]
    fn options_follow_the_address() {
        let found = read("unix:/run/app.sock?mode=0660&user=www&group=33&backlog=9").unwrap();
        let listener = &found[0];
        assert_eq!(listener.mode, Some(0o660));
        assert_eq!(listener.user, Some(Account::Name("www".to_owned())));
        assert_eq!(listener.group, Some(Account::Id(33)));
        assert_eq!(listener.backlog, Some(9));
        let found = read("[::]:80?v6only=on&reuseport=1&nonblock=off").unwrap();
        assert_eq!((found[0].v6only, found[0].reuseport), (Some(true), true));
        assert_eq!(
            (found[0].nonblock, read("@a?nonblock=on").unwrap()[0].nonblock),
            (Some(false), Some(true))
        );
        assert_eq!(read(":80").unwrap()[0].v6only, Some(false));
        assert_eq!(read("0.0.0.0:80?").unwrap()[0].v6only, None);
    }

    #[test]
    fn what_clashes_or_means_nothing_is_refused() {
        for (text, reason) in [
            (":80,", "holds an empty entry"),
            ("a=:80,a=:81", "another listener is called a"),
            (":80,b=:80", "the same address as listener 80"),
            ("=:80", "a name is"),
            ("a b=:80", "a name is"),
            ("é=:80", "a name is"),
            ("{a}=:80", "a name is"),
            (":80?mode=0660", "mode is an option of Unix sockets with a path"),
            ("@a?user=b", "user is an option of Unix sockets with a path"),
            ("0.0.0.0:80?v6only=on", "v6only is an option of an IPv6 address"),
            (":80?v6only=on", "v6only is an option of an IPv6 address"),
            ("/a?reuseport=on", "reuseport is an option of TCP and UDP"),
            ("udp://:80?backlog=5", "backlog is an option of stream sockets"),
            (":80?backlog=0", "out of range"),
            (":80?nonblock=maybe", "nonblock=maybe: "),
            (":80?backlog=1&backlog=2", "backlog is given twice"),
            (":80?backlgo=1", "did you mean backlog?"),
            (":80?colour=red", "known are backlog"),
            ("/a?mode=0999", "is not a mode"),
            ("/a?mode=+660", "is not a mode"),
            ("/a?mode=7777", "is not a mode"),
            ("/a?user=", "user=: "),
            ("localhost:80", "localhost:80: "),
        ] {
            let problem = read(text).expect_err(text);
            assert!(problem.contains(reason), "{text}: {problem}");
        }
        assert!(read(&format!("{}=:80", "a".repeat(256))).is_err());
    }

    proptest! {
        #[test]
        fn names_are_unique_and_legal_whatever_is_written(text in "[a:/=@?&0-9,\\[\\]-]{0,40}") {
            if let Ok(found) = read(&text) {
                for (at, listener) in found.iter().enumerate() {
                    prop_assert!(!listener.name.contains(':') && !listener.name.is_empty());
                    prop_assert!(found[..at].iter().all(|other| other.name != listener.name));
                }
            }
        }

        #[test]
        fn no_text_upsets_a_list_of_listeners(text in any::<String>()) {
            let _ = read(&text);
        }
    }
}
