//! Settings that are each allowed and make no sense together.

use super::Config;
use super::choice::{Balance, ContractChoice, Ready};
use super::fault::Fault;
use super::reader;
use super::settings;
use super::typed::Typed;

/// Every clash, told of a setting that somebody typed.
pub(crate) fn all(config: &Config, typed: &Typed) -> Vec<Fault> {
    let clashes = [ready(config), balance(config), listeners(config), datagrams(config)];
    clashes.into_iter().flatten().filter_map(|(name, problem)| told(typed, name, problem)).collect()
}

/// A setting's name, and why its value will not do.
type Clash = Option<(&'static str, String)>;

/// Only Node tells us that it listens, and only capture sees it.
fn ready(config: &Config) -> Clash {
    let contract = match config.contract {
        ContractChoice::Plain => "plain",
        ContractChoice::Systemd => "systemd",
        ContractChoice::Auto | ContractChoice::Node | ContractChoice::Capture => return None,
    };
    (config.ready == Ready::Listening)
        .then(|| ("READY", format!("nobody sees a worker listen with CONTRACT={contract}")))
}

/// Only Node's protocol lets the master hand out connections, and it knows no slots.
fn balance(config: &Config) -> Clash {
    match (config.balance, config.contract) {
        (_, ContractChoice::Auto) | (Balance::RoundRobin(_), ContractChoice::Node) => None,
        (Balance::RoundRobin(_), _) => {
            Some(("BALANCE", "only CONTRACT=node hands out connections".to_owned()))
        }
        (Balance::Slot, ContractChoice::Node) => {
            Some(("BALANCE", "CONTRACT=node knows round-robin and shared".to_owned()))
        }
        _ => None,
    }
}

/// A contract that passes sockets needs some.
fn listeners(config: &Config) -> Clash {
    (config.contract == ContractChoice::Systemd && config.listen.is_empty())
        .then(|| ("CONTRACT", "needs LISTEN, the sockets to pass".to_owned()))
}

/// Only captured servers can be UDP's, and each has sockets of its own, from which datagrams are led away at its end.
fn datagrams(config: &Config) -> Clash {
    let is_captured = matches!(config.contract, ContractChoice::Auto | ContractChoice::Capture);
    let problem = match config.balance {
        _ if !config.capture_udp => return None,
        _ if !is_captured => "only CONTRACT=capture sees UDP servers",
        Balance::Shared => "with BALANCE=shared workers have no sockets of their own",
        _ => return None,
    };
    Some(("CAPTURE_UDP", problem.to_owned()))
}

/// The clash as a fault of what was typed; a default clashes with nothing.
fn told(typed: &Typed, name: &str, problem: String) -> Option<Fault> {
    let setting = settings::named(name)?;
    Some(reader::fault(setting, typed.settings.get(setting.name)?, problem))
}
