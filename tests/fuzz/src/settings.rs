//! Every setting's value, as a variable and as a flag.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

use dutch_master::wire::listen::{Kind, Passed, expand};

use crate::config::{self as settings, Invocation, Warning};

fn os(bytes: &[u8]) -> OsString {
    OsStr::from_bytes(bytes).to_owned()
}

/// Settings as the bytes say: words divided by NULs. The first byte of a word names a setting, or
/// says that the word stands on the command line.
pub fn config(data: &[u8]) {
    let all: Vec<_> = settings::settings::all().collect();
    let (mut variables, mut line) = (vec![], vec![os(b"run")]);
    for word in data.split(|byte| *byte == 0).take(64) {
        let Some((&which, value)) = word.split_first() else { continue };
        let setting = all[usize::from(which & 63) % all.len()];
        // A family's member needs the rest of its name.
        let name = format!("{}{}", settings::settings::PREFIX, setting.name);
        let name = if setting.is_family() { name + "NOFILE" } else { name };
        match which >> 6 {
            0 | 1 => variables.push((name.into(), os(value))),
            2 => line.push(os(&[format!("--{}=", flag(setting.name)).as_bytes(), value].concat())),
            _ => line.push(os(value)),
        }
    }
    judge(settings::load(variables.into_iter(), line.into_iter()));
}

fn flag(name: &str) -> String {
    name.trim_end_matches('_').to_ascii_lowercase().replace('_', "-")
}

fn judge(loaded: Result<(Invocation, Vec<Warning>), Vec<settings::Fault>>) {
    let told: Vec<String> = match &loaded {
        Ok((_, warnings)) => warnings.iter().map(ToString::to_string).collect(),
        Err(faults) => {
            assert!(matches!(settings::exit_code(faults), 64 | 78));
            faults.iter().map(ToString::to_string).collect()
        }
    };
    for text in told {
        assert!(!text.chars().any(char::is_control), "it leaves its line: {text:?}");
    }
}

/// A `LISTEN` string, and an argument in which listeners are named.
pub fn listen(data: &[u8]) {
    let (value, argument) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &data[..0]),
    };
    let variable = (OsString::from("DUTCH_MASTER_LISTEN"), os(value));
    let loaded = settings::load([variable].into_iter(), [os(b"--"), os(b"true")].into_iter());
    let Ok((invocation, _)) = &loaded else { return judge(loaded) };
    let mut names: Vec<&str> = vec![];
    let mut passed = vec![];
    for (listener, fd) in invocation.config.listen.iter().zip(3..) {
        assert!(!names.contains(&listener.name.as_str()), "two listeners of one name");
        assert!(!listener.name.contains([':', '\0', '\n']), "it breaks LISTEN_FDNAMES");
        names.push(&listener.name);
        passed.push(Passed {
            name: listener.name.clone(),
            fd,
            kind: Kind::Tcp,
            address: "[::]:1".into(),
        });
    }
    let _ = expand(argument, &passed);
    for listener in &passed {
        let word = format!("{{fd:{}}}", listener.name);
        assert!(
            expand(word.as_bytes(), &passed).is_ok(),
            "a name that no argument can say: {word}"
        );
    }
}
