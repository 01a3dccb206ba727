//! Values that have a meaning and no code yet: refused, so that nobody counts on them in vain.
//!
//! Whoever builds one of them strikes its line here, and names it in the settings table.

use super::Config;
use super::choice::ContractChoice;
use super::fault::Fault;
use super::reader;
use super::settings;
use super::typed::Typed;

/// A fault for every such value.
pub(crate) fn all(config: &Config, typed: &Typed) -> Vec<Fault> {
    let asked = [("CONTRACT", config.contract == ContractChoice::Capture)];
    let names = asked.into_iter().filter(|&(_, is_asked)| is_asked).map(|(name, _)| name);
    names
        .filter_map(|name| Some((settings::named(name)?, typed.settings.get(name)?)))
        .map(|(setting, given)| {
            reader::fault(setting, given, "this version does not have it yet".to_owned())
        })
        .collect()
}
