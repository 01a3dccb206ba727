//! Reads typed values into a `Config`'s fields, and keeps every fault on the way.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::fault::{Fault, Source};
use super::settings::{self, Setting};
use super::typed::{Given, Typed};

/// A reader of what was typed, which goes on after a fault.
pub(crate) struct Reader<'a> {
    typed: &'a Typed,
    faults: Vec<Fault>,
}

/// The fault of a value that is not allowed.
pub(crate) fn fault(setting: &Setting, given: &Given, problem: String) -> Fault {
    let texts: Vec<_> = given.values.iter().map(|value| value.to_string_lossy()).collect();
    let value = if setting.is_list() {
        texts.join(",")
    } else {
        texts.last().map(ToString::to_string).unwrap_or_default()
    };
    Fault::Value {
        name: given.label.clone(),
        value,
        source: given.source,
        problem,
        allowed: setting.allowed,
        example: setting.example,
    }
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(typed: &'a Typed) -> Self {
        Self { typed, faults: Vec::new() }
    }

    /// Every fault so far.
    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// Fills a field with what was typed, or with the table's default.
    pub(crate) fn set<T>(
        &mut self,
        name: &str,
        field: &mut T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) {
        self.set_list(name, field, |texts| parse(texts.last().copied().unwrap_or_default()));
    }

    /// The same, from all values of a repeated flag.
    pub(crate) fn set_list<T>(
        &mut self,
        name: &str,
        field: &mut T,
        parse: impl Fn(&[&str]) -> Result<T, String>,
    ) {
        let Some(setting) = settings::named(name) else {
            return self.faults.push(Fault::Usage(format!("{name}: not in the table of settings")));
        };
        let default;
        let given = match self.typed.settings.get(setting.name) {
            Some(given) => given,
            None if setting.default.is_empty() => return,
            None => {
                default = default_of(setting);
                &default
            }
        };
        let texts: Option<Vec<&str>> = given.values.iter().map(|value| value.to_str()).collect();
        match texts.ok_or_else(|| "is not UTF-8".to_owned()).and_then(|texts| parse(&texts)) {
            Ok(value) => *field = value,
            Err(problem) => self.faults.push(fault(setting, given, problem)),
        }
    }

    /// Fills a field with what was typed, which need not be text.
    pub(crate) fn set_path<T>(
        &mut self,
        name: &str,
        field: &mut T,
        parse: impl Fn(&[OsString]) -> Result<T, String>,
    ) {
        let Some((setting, given)) =
            settings::named(name).and_then(|s| Some((s, self.typed.settings.get(s.name)?)))
        else {
            return;
        };
        match parse(&given.values) {
            Ok(value) => *field = value,
            Err(problem) => self.faults.push(fault(setting, given, problem)),
        }
    }

    /// Reads every member of a family.
    pub(crate) fn set_family<T>(
        &mut self,
        name: &str,
        field: &mut Vec<T>,
        parse: impl Fn(&str, &OsStr) -> Result<T, String>,
    ) {
        for member in self.typed.members.iter().filter(|member| member.family.name == name) {
            let value = member.given.values.last().map(OsString::as_os_str).unwrap_or_default();
            match parse(&member.rest, value) {
                Ok(value) => field.push(value),
                Err(problem) => self.faults.push(fault(member.family, &member.given, problem)),
            }
        }
    }
}

/// The table's default, as if somebody had typed it.
fn default_of(setting: &Setting) -> Given {
    Given {
        label: setting.variable(),
        source: Source::Default,
        values: vec![setting.default.into()],
    }
}

/// The last of several values as a path.
pub(crate) fn path(values: &[OsString]) -> Result<PathBuf, String> {
    use std::os::unix::ffi::OsStrExt;
    match values.last() {
        Some(value) if value.is_empty() => Err("is empty".to_owned()),
        Some(value) if value.as_bytes().contains(&0) => Err("holds a NUL".to_owned()),
        Some(value) => Ok(PathBuf::from(value)),
        None => Err("is empty".to_owned()),
    }
}

/// Comma lists of absolute paths.
pub(crate) fn absolute_paths(values: &[OsString]) -> Result<Vec<PathBuf>, String> {
    use std::os::unix::ffi::OsStrExt;
    let mut found = Vec::new();
    for piece in values.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
        let path = path(&[OsStr::from_bytes(piece.trim_ascii()).to_owned()])?;
        if !path.is_absolute() {
            return Err(format!("{:?} is not an absolute path", path.display().to_string()));
        }
        if !found.contains(&path) {
            found.push(path);
        }
    }
    Ok(found)
}
