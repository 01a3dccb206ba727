//! How a worker that was written for einhorn says that it is ready: one line on einhorn's socket.
//!
//! The libraries send `{"command":"worker:ack","pid":N}` (Go, Python, Node), or the same as YAML
//! with every newline and percent sign percent-encoded (Ruby); both are read.

use alloc::string::String;
use core::fmt;

use serde_json::Value;

/// The longest request that is read: an acknowledgement has less than 100 bytes.
pub const LINE_LIMIT: usize = 1024;

/// A worker says that it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The pid that it gives; the sender's credentials decide who it is.
    pub pid: u32,
}

/// A line that is no acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EinhornError {
    /// Longer than [`LINE_LIMIT`].
    TooLong,
    /// Neither a JSON object nor einhorn's YAML.
    Malformed,
    /// Another of einhorn's commands, which `dutch-master` does not serve.
    OtherCommand(String),
    /// No `pid`, or not a process's number.
    BadPid,
}

impl fmt::Display for EinhornError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "an einhorn request of more than {LINE_LIMIT} bytes"),
            Self::Malformed => f.write_str("an einhorn request that is neither JSON nor YAML"),
            Self::OtherCommand(name) => {
                write!(f, "einhorn command {name:?}: only \"worker:ack\" is served")
            }
            Self::BadPid => f.write_str("an einhorn acknowledgement without the worker's pid"),
        }
    }
}

impl core::error::Error for EinhornError {}

/// Reads one request line, with or without its newline.
pub fn parse(line: &[u8]) -> Result<Ack, EinhornError> {
    if line.len() > LINE_LIMIT {
        return Err(EinhornError::TooLong);
    }
    let text = core::str::from_utf8(line).map_err(|_| EinhornError::Malformed)?;
    // einhorn's framing: within a request, only these two characters are escaped.
    let text = text.replace("%0A", "\n").replace("%25", "%");
    let (command, pid) = match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(fields)) => (
            fields.get("command").and_then(Value::as_str).map(String::from),
            fields.get("pid").and_then(Value::as_u64),
        ),
        Ok(_) => return Err(EinhornError::Malformed),
        Err(_) => yaml(&text),
    };
    match command {
        None => Err(EinhornError::Malformed),
        Some(command) if command != "worker:ack" => {
            Err(EinhornError::OtherCommand(command.chars().take(64).collect()))
        }
        Some(_) => pid
            .and_then(|pid| i32::try_from(pid).ok())
            .filter(|&pid| pid > 0)
            .map(|pid| Ack { pid: pid.unsigned_abs() })
            .ok_or(EinhornError::BadPid),
    }
}

/// The flat subset of YAML that Ruby's `YAML.dump` makes of einhorn's requests.
fn yaml(text: &str) -> (Option<String>, Option<u64>) {
    let field = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.trim_matches(['"', '\'', ':', ' ']) == name)
            .map(|(_, value)| value.trim_matches(['"', '\'', ' ']))
    };
    (field("command").map(String::from), field("pid").and_then(|pid| pid.parse().ok()))
}
