//! `{fd:NAME}` and `{addr:NAME}` in a worker's arguments.
//!
//! Only these two forms mean anything: JSON, templates and shell text in arguments pass untouched.
//! `{{fd:NAME}` stands for the text `{fd:NAME}` itself.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use super::Passed;

/// An argument that asks for something that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpandError {
    /// No listener has this name or, for a number, this place.
    UnknownListener {
        /// What was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// `{fd:` or `{addr:` without the closing brace.
    Unclosed {
        /// The argument's text from the open brace on.
        text: String,
    },
}

impl fmt::Display for ExpandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownListener { name, known } if known.is_empty() => {
                write!(f, "listener {name:?}: there is none, set DUTCH_MASTER_LISTEN")
            }
            Self::UnknownListener { name, known } => {
                write!(f, "listener {name:?}: no such name, there are {}", known.join(", "))
            }
            Self::Unclosed { text } => write!(
                f,
                "{text:?}: the closing brace is missing, write {{{{ for a brace that means itself"
            ),
        }
    }
}

impl core::error::Error for ExpandError {}

/// What a placeholder asks for.
#[derive(Clone, Copy)]
enum Wanted {
    Descriptor,
    Address,
}

const FORMS: [(&[u8], Wanted); 2] = [(b"{fd:", Wanted::Descriptor), (b"{addr:", Wanted::Address)];

/// An argument with its placeholders replaced. Arguments are bytes, since they need not be UTF-8.
/// NAME is a listener's name, or its place in LISTEN, counted from 0.
pub fn expand(argument: &[u8], sockets: &[Passed]) -> Result<Vec<u8>, ExpandError> {
    let mut expanded = Vec::with_capacity(argument.len());
    let mut rest = argument;
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'{' && form(after).is_some() {
            // `{{fd:`: the second brace and what follows mean themselves.
            expanded.push(b'{');
            rest = after.get(1..).unwrap_or_default();
        } else if let Some((wanted, inside)) = form(rest) {
            let (name, behind) = closed(inside, rest)?;
            expanded.extend(lookup(name, wanted, sockets)?.as_bytes());
            rest = behind;
        } else {
            expanded.push(byte);
            rest = after;
        }
    }
    Ok(expanded)
}

/// Which form starts here, and what follows its opening.
fn form(text: &[u8]) -> Option<(Wanted, &[u8])> {
    FORMS.iter().find_map(|(opening, wanted)| Some((*wanted, text.strip_prefix(*opening)?)))
}

/// The name up to the closing brace, and what stands behind it.
fn closed<'a>(inside: &'a [u8], whole: &[u8]) -> Result<(&'a [u8], &'a [u8]), ExpandError> {
    let end = inside.iter().position(|&byte| byte == b'}').ok_or_else(|| {
        ExpandError::Unclosed { text: String::from_utf8_lossy(whole).chars().take(64).collect() }
    })?;
    let (name, behind) = inside.split_at(end);
    Ok((name, behind.get(1..).unwrap_or_default()))
}

fn lookup(name: &[u8], wanted: Wanted, sockets: &[Passed]) -> Result<String, ExpandError> {
    let text = core::str::from_utf8(name).unwrap_or("");
    let named = sockets.iter().find(|socket| socket.name.as_bytes() == name);
    let found = named.or_else(|| sockets.get(text.parse::<usize>().ok()?));
    match (found, wanted) {
        (Some(socket), Wanted::Descriptor) => Ok(socket.fd.to_string()),
        (Some(socket), Wanted::Address) => Ok(socket.address.clone()),
        (None, _) => Err(ExpandError::UnknownListener {
            name: String::from_utf8_lossy(name).into_owned(),
            known: sockets.iter().map(|socket| format!("{:?}", socket.name)).collect(),
        }),
    }
}
