//! The settings table: help, manual page, completions, `config` and the README come from it.

mod fleet;
mod outside;
mod worker;

/// What every variable of ours begins with.
pub(crate) const PREFIX: &str = "DUTCH_MASTER_";

/// What kind of value a setting takes, with the word that stands for it in the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One text.
    Text(&'static str),
    /// A comma list; its flag may be repeated.
    List(&'static str),
    /// A path, which need not be UTF-8.
    Path(&'static str),
    /// A comma list of paths; its flag may be repeated.
    Paths(&'static str),
    /// On or off; its flag needs no value.
    Switch,
    /// A variable for each name, as in `RLIMIT_NOFILE`; its flag takes `NAME=VALUE`.
    Family(&'static str),
}

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The variable without its prefix; the first part of it for a family.
    pub(crate) name: &'static str,
    /// What it takes.
    pub(crate) form: Form,
    /// The value when nobody sets it; empty when there is none.
    pub(crate) default: &'static str,
    /// What it does, in a few words.
    pub(crate) meaning: &'static str,
    /// What may be written.
    pub(crate) allowed: &'static str,
    /// A value that would do.
    pub(crate) example: &'static str,
}

/// Settings that belong together.
pub(crate) struct Group {
    /// Its heading.
    pub(crate) title: &'static str,
    /// Its settings.
    pub(crate) settings: &'static [Setting],
}

/// Every setting, by purpose.
pub(crate) const GROUPS: [Group; 6] = [
    Group { title: "Workers", settings: fleet::WORKERS },
    Group { title: "Listeners and readiness", settings: fleet::READINESS },
    Group { title: "Rolling restarts", settings: fleet::ROLLS },
    Group { title: "Stopping", settings: fleet::STOPPING },
    Group { title: "What a worker is given", settings: worker::WORKER },
    Group { title: "Output", settings: outside::OUTSIDE },
];

impl Group {
    /// Its settings that the help shows.
    pub(crate) fn shown(&self) -> impl Iterator<Item = &'static Setting> + use<> {
        self.settings.iter()
    }
}

/// Every setting that the help shows.
pub(crate) fn shown() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(Group::shown)
}

/// Every setting.
pub(crate) fn all() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|group| group.settings)
}

/// The setting of this name, which for a family is `RLIMIT_` alone.
pub(crate) fn named(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name == name)
}

/// The family that a variable such as `RLIMIT_NOFILE` belongs to, and the rest of its name.
pub(crate) fn family_of(name: &str) -> Option<(&'static Setting, &str)> {
    all().filter(|setting| setting.is_family()).find_map(|setting| {
        let rest = name.strip_prefix(setting.name)?;
        (!rest.is_empty()).then_some((setting, rest))
    })
}

impl Setting {
    /// Whether it stands for many variables.
    pub(crate) const fn is_family(&self) -> bool {
        matches!(self.form, Form::Family(_))
    }

    /// Whether its values are paths, which need not be UTF-8.
    pub(crate) const fn is_path(&self) -> bool {
        matches!(self.form, Form::Path(_) | Form::Paths(_))
    }

    /// Whether its flag may be repeated to give several values.
    pub(crate) const fn is_list(&self) -> bool {
        matches!(self.form, Form::List(_) | Form::Paths(_) | Form::Family(_))
    }

    /// Whether its values may be secrets, which nobody prints.
    pub(crate) fn is_secret(&self) -> bool {
        self.name == "WORKER_ENV_"
    }

    /// Its variable, in full; `…_NAME` for a family.
    pub(crate) fn variable(&self) -> String {
        let rest = if self.is_family() { "NAME" } else { "" };
        format!("{PREFIX}{}{rest}", self.name)
    }

    /// Its flag, without the dashes.
    pub(crate) fn flag(&self) -> String {
        self.name.trim_end_matches('_').to_ascii_lowercase().replace('_', "-")
    }

    /// What its flag takes, in one word; empty for a switch.
    pub(crate) const fn placeholder(&self) -> &'static str {
        match self.form {
            Form::Text(word)
            | Form::List(word)
            | Form::Path(word)
            | Form::Paths(word)
            | Form::Family(word) => word,
            Form::Switch => "",
        }
    }
}
