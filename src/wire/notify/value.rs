//! One line of a notification: which key, and whether its value is one that the key allows.

use alloc::string::{String, ToString};

use super::{Access, Notice, STATUS_LIMIT, is_fd_name};

/// The highest errno that the kernel uses.
const ERRNO_MAX: i32 = 4095;

/// What a line turned out to be.
pub(super) enum Read {
    Known(Notice),
    Unknown,
    Malformed,
}

pub(super) fn read(line: &[u8]) -> Read {
    let Some(at) = line.iter().position(|&byte| byte == b'=').filter(|&at| at > 0) else {
        return Read::Malformed;
    };
    let (key, rest) = line.split_at(at);
    let value = rest.get(1..).unwrap_or_default();
    if key == b"STATUS" {
        return Read::Known(Notice::Status(harmless(value)));
    }
    let Ok(value) = core::str::from_utf8(value) else {
        return Read::Malformed;
    };
    let notice = match key {
        b"READY" => flag(value, Notice::Ready),
        b"STOPPING" => flag(value, Notice::Stopping),
        b"RELOADING" => flag(value, Notice::Reloading),
        b"MONOTONIC_USEC" => number(value).map(Notice::MonotonicUsec),
        b"ERRNO" => errno(value),
        b"BUSERROR" => is_bus_name(value).then(|| Notice::BusError(value.to_string())),
        b"EXIT_STATUS" => number(value).and_then(|n| n.try_into().ok()).map(Notice::ExitStatus),
        b"MAINPID" => pid(value),
        b"WATCHDOG" if value == "trigger" => Some(Notice::WatchdogTrigger),
        b"WATCHDOG" => flag(value, Notice::Watchdog),
        b"WATCHDOG_USEC" => number(value).map(Notice::WatchdogUsec),
        b"EXTEND_TIMEOUT_USEC" => number(value).map(Notice::ExtendTimeoutUsec),
        b"FDSTORE" => flag(value, Notice::FdStore),
        b"FDSTOREREMOVE" => flag(value, Notice::FdStoreRemove),
        b"FDNAME" => is_fd_name(value).then(|| Notice::FdName(value.to_string())),
        b"FDPOLL" => boolean(value).map(Notice::FdPoll),
        b"NOTIFYACCESS" => access(value).map(Notice::NotifyAccess),
        b"BARRIER" => flag(value, Notice::Barrier),
        b"X_RESTART" => flag(value, Notice::RestartRequested),
        _ => return Read::Unknown,
    };
    notice.map_or(Read::Malformed, Read::Known)
}

fn flag(value: &str, notice: Notice) -> Option<Notice> {
    (value == "1").then_some(notice)
}

/// Digits only: `str::parse` would also take a plus sign. Too large for 64 bits is no number.
fn number(value: &str) -> Option<u64> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().ok()).flatten()
}

fn errno(value: &str) -> Option<Notice> {
    let code = i32::try_from(number(value)?).ok()?;
    (1..=ERRNO_MAX).contains(&code).then_some(Notice::Errno(code))
}

/// A pid is positive and fits the kernel's signed type; 1 is the master, never a worker.
fn pid(value: &str) -> Option<Notice> {
    let pid = i32::try_from(number(value)?).ok()?;
    (pid > 1).then(|| pid.unsigned_abs()).map(Notice::MainPid)
}

fn boolean(value: &str) -> Option<bool> {
    match value {
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        _ => None,
    }
}

fn access(value: &str) -> Option<Access> {
    match value {
        "none" => Some(Access::None),
        "main" => Some(Access::Main),
        "exec" => Some(Access::Exec),
        "all" => Some(Access::All),
        _ => None,
    }
}

/// A D-Bus error name as `org.freedesktop.DBus.Error.Failed`: at most 255 of these characters.
fn is_bus_name(value: &str) -> bool {
    (1..=255).contains(&value.len())
        && value.contains('.')
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'))
}

/// The status as text that no terminal obeys: wrong UTF-8 becomes U+FFFD, a control character a
/// space, and what turns the direction of text round is dropped.
fn harmless(value: &[u8]) -> String {
    let mut text = String::new();
    for chunk in value.utf8_chunks() {
        let wrong = (!chunk.invalid().is_empty()).then_some('\u{fffd}');
        for symbol in chunk.valid().chars().chain(wrong).filter(|&symbol| !turns(symbol)) {
            let symbol = if symbol.is_control() { ' ' } else { symbol };
            if text.len().saturating_add(symbol.len_utf8()) > STATUS_LIMIT {
                return text;
            }
            text.push(symbol);
        }
    }
    text
}

/// Separators and direction marks, with which a status could forge or hide what stands around it.
const fn turns(symbol: char) -> bool {
    matches!(symbol, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
