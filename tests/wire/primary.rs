//! The primary as a machine: a made-up world around it, for stories and a simulation.

#[path = "primary/bounds.rs"]
mod bounds;
#[path = "primary/simulation.rs"]
mod simulation;
#[path = "primary/stories.rs"]
mod stories;

use std::{collections::BTreeSet, time::Duration};

use dutch_master::{
    Timestamp,
    wire::node::{
        SockName,
        primary::{Attachment, Effect, Event, Options, Primary},
    },
};
use serde_json::Value;

/// The primary, with hands that do as they are told and remember it.
struct World {
    primary: Primary,
    now: Timestamp,
    said: Vec<Effect>,
    watched: BTreeSet<u64>,
    next_connection: u64,
}

impl World {
    fn new(options: Options) -> Self {
        Self {
            primary: Primary::new(options),
            now: Timestamp::ORIGIN,
            said: vec![],
            watched: BTreeSet::new(),
            next_connection: 100,
        }
    }

    fn round_robin() -> Self {
        Self::new(Options::default())
    }

    /// Lets something happen; what came of it.
    fn event(&mut self, event: Event<'_>) -> Vec<Effect> {
        self.primary.handle(self.now, event);
        self.effects()
    }

    fn effects(&mut self) -> Vec<Effect> {
        let effects: Vec<Effect> = std::iter::from_fn(|| self.primary.next_effect()).collect();
        for effect in &effects {
            if let Effect::Watch { listener, on } = effect {
                let changed = if *on {
                    self.watched.insert(*listener)
                } else {
                    self.watched.remove(listener)
                };
                assert!(changed, "told twice: {effect:?}");
            }
        }
        self.said.extend(effects.iter().cloned());
        effects
    }

    fn wait(&mut self, time: Duration) -> Vec<Effect> {
        self.now = self.now.after(time);
        self.primary.tick(self.now);
        self.effects()
    }

    fn say(&mut self, member: u64, line: &str) -> Vec<Effect> {
        let bytes = format!("{line}\n");
        self.event(Event::Received { member, bytes: bytes.as_bytes(), descriptors: 0 })
    }

    /// A worker that is online and has asked for a port; what it was answered.
    fn worker(&mut self, member: u64, replaces: Option<u64>, port: u16) -> Vec<Effect> {
        self.event(Event::Joined { member, replaces });
        self.say(member, r#"{"cmd":"NODE_CLUSTER","act":"online","seq":0}"#);
        self.ask(member, port)
    }

    /// The same, and it has said that it listens.
    fn serving(&mut self, member: u64, replaces: Option<u64>, port: u16) -> Vec<Effect> {
        let mut effects = self.worker(member, replaces, port);
        effects.extend(self.listening(member, port));
        effects
    }

    fn ask(&mut self, member: u64, port: u16) -> Vec<Effect> {
        let mut effects = self.say(member, &server("queryServer", port));
        let open = effects.iter().find_map(|effect| match effect {
            Effect::Open { listener, .. } => Some(*listener),
            _ => None,
        });
        if let Some(listener) = open {
            let name = SockName { address: "::".into(), port, v6: true };
            effects.extend(self.event(Event::Opened { listener, outcome: Ok(Some(name)) }));
        }
        effects
    }

    fn listening(&mut self, member: u64, port: u16) -> Vec<Effect> {
        self.say(member, &server("listening", port))
    }

    fn close(&mut self, member: u64, listener: u64) -> Vec<Effect> {
        let key = self.primary.key_of(listener).unwrap();
        let close = format!(r#"{{"cmd":"NODE_CLUSTER","act":"close","key":"{key}","seq":5}}"#);
        self.say(member, &close)
    }

    fn accept(&mut self, listener: u64) -> (u64, Vec<Effect>) {
        assert!(self.primary.wants_connection(listener), "nobody is free");
        let connection = self.next_connection;
        self.next_connection += 1;
        (connection, self.event(Event::Accepted { listener, connection }))
    }

    /// Who got a connection, and with which number.
    fn accept_for(&mut self, listener: u64) -> (u64, u64, u64) {
        let (connection, effects) = self.accept(listener);
        let [(member, seq, handed)] = &handed(&effects)[..] else { panic!("{effects:?}") };
        assert_eq!(*handed, connection);
        (*member, *seq, connection)
    }

    fn answer(&mut self, member: u64, seq: u64, accepted: bool) -> Vec<Effect> {
        let mut effects = self.say(member, r#"{"cmd":"NODE_HANDLE_ACK"}"#);
        let reply =
            format!(r#"{{"cmd":"NODE_CLUSTER","ack":{seq},"accepted":{accepted},"seq":9}}"#);
        effects.extend(self.say(member, &reply));
        effects
    }

    fn inspected(&mut self, connection: u64) -> Vec<Effect> {
        self.event(Event::Inspected { connection, untouched: true })
    }
}

fn server(act: &str, port: u16) -> String {
    format!(
        r#"{{"cmd":"NODE_CLUSTER","act":"{act}","index":0,"data":null,"address":null,"port":{port},"addressType":4,"backlog":0,"seq":{port}}}"#
    )
}

fn handed(effects: &[Effect]) -> Vec<(u64, u64, u64)> {
    let sends = effects.iter().filter_map(|effect| match effect {
        Effect::Send { member, line, with: Some(Attachment::Connection(connection)) } => {
            let message: Value = serde_json::from_slice(line).unwrap();
            Some((*member, message["msg"]["seq"].as_u64().unwrap(), *connection))
        }
        _ => None,
    });
    sends.collect()
}

/// The messages that went to a member.
fn told(effects: &[Effect], whom: u64) -> Vec<Value> {
    let sends = effects.iter().filter_map(|effect| match effect {
        Effect::Send { member, line, .. } if *member == whom => {
            Some(serde_json::from_slice(line).unwrap())
        }
        _ => None,
    });
    sends.collect()
}

fn acts(effects: &[Effect], whom: u64) -> Vec<String> {
    told(effects, whom).iter().filter_map(|m| m["act"].as_str().map(String::from)).collect()
}

const SECOND: Duration = Duration::from_secs(1);
