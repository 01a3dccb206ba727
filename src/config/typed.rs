//! What was typed, before anybody knows whether it makes sense: setting by setting, with its origin.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::fault::Source;
use super::settings::Setting;

/// What somebody wrote for one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    /// The variable in full, or the flag with its dashes.
    pub(crate) label: String,
    /// Which of the two it was.
    pub(crate) source: Source,
    /// The values, in order; several only where a flag was repeated; never empty.
    pub(crate) values: Vec<OsString>,
}

/// What somebody wrote for one variable of a family, as `RLIMIT_NOFILE`.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The family.
    pub(crate) family: &'static Setting,
    /// The rest of the name, as `NOFILE`.
    pub(crate) rest: String,
    /// Its value and origin.
    pub(crate) given: Given,
}

/// Everything that was typed, in one place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Typed {
    /// By the setting's name.
    pub(crate) settings: BTreeMap<&'static str, Given>,
    /// In the order given.
    pub(crate) members: Vec<Member>,
}

impl Typed {
    /// Notes a setting's value: behind the earlier ones if it is a list, else in their place.
    pub(crate) fn note(&mut self, setting: &Setting, given: Given) {
        match self.settings.get_mut(setting.name) {
            Some(earlier) if setting.is_list() => earlier.values.extend(given.values),
            _ => {
                self.settings.insert(setting.name, given);
            }
        }
    }

    /// Notes a family's value, in place of an earlier one of the same name.
    pub(crate) fn note_member(&mut self, member: Member) {
        self.members.retain(|earlier| {
            earlier.family.name != member.family.name || earlier.rest != member.rest
        });
        self.members.push(member);
    }

    /// Puts what `stronger` says over what this says.
    pub(crate) fn overlay(&mut self, stronger: Self) {
        self.settings.extend(stronger.settings);
        for member in stronger.members {
            self.note_member(member);
        }
    }
}
