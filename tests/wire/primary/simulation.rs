//! Random lives of workers, in which no connection may be lost, doubled, or given to the wrong one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dutch_master::wire::node::primary::{Attachment, Effect, Event, Options};
use proptest::prelude::*;
use serde_json::Value;

use super::World;

/// What may happen next, in a simulation.
#[derive(Debug, Clone, Copy)]
enum Step {
    Join,
    Accept,
    Answer { which: usize, accepted: bool },
    Starve { which: usize },
    Inspect { untouched: bool },
    Drain { which: usize },
    Leave { which: usize },
    Die { which: usize },
    Wait { time: u16 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Join),
        8 => Just(Step::Accept),
        6 => (0..9_usize, any::<bool>()).prop_map(|(which, b)| Step::Answer { which, accepted: b }),
        1 => (0..9_usize).prop_map(|which| Step::Starve { which }),
        4 => (0..8_u8).prop_map(|n| Step::Inspect { untouched: n > 0 }),
        1 => (0..9_usize).prop_map(|which| Step::Drain { which }),
        1 => (0..9_usize).prop_map(|which| Step::Leave { which }),
        1 => (0..9_usize).prop_map(|which| Step::Die { which }),
        3 => (0..2000_u16).prop_map(|time| Step::Wait { time }),
    ]
}

/// The truth beside the machine: who has which connection.
#[derive(Default)]
struct Truth {
    alive: BTreeSet<u64>,
    draining: BTreeSet<u64>,
    /// By connection: with whom, and under which number. Messages in the order they were sent.
    held: BTreeMap<u64, (u64, u64)>,
    unacknowledged: BTreeMap<u64, Vec<u64>>,
    inspecting: Vec<u64>,
    closed: BTreeSet<u64>,
    accepted: BTreeSet<u64>,
}

impl Truth {
    fn obey(&mut self, effects: &[Effect], depth: usize) {
        for effect in effects {
            match effect {
                Effect::Send { member, line, with: Some(Attachment::Connection(connection)) } => {
                    assert!(self.alive.contains(member) && !self.draining.contains(member));
                    let message: Value = serde_json::from_slice(line).unwrap();
                    let seq = message["msg"]["seq"].as_u64().unwrap();
                    assert!(!self.closed.contains(connection), "handed out after it was closed");
                    let twice = self.held.insert(*connection, (*member, seq));
                    assert_eq!(twice, None, "with two workers at once");
                    let with = self.held.values().filter(|(holder, _)| holder == member).count();
                    assert!(with <= depth, "more unanswered than allowed");
                    self.unacknowledged.entry(*member).or_default().push(*connection);
                }
                Effect::Inspect(connection) => self.inspecting.push(*connection),
                Effect::CloseConnection(connection) => {
                    assert!(self.closed.insert(*connection), "closed twice");
                }
                _ => {}
            }
        }
    }

    fn pick(set: &BTreeSet<u64>, which: usize) -> Option<u64> {
        set.iter().nth(which % set.len().max(1)).copied()
    }
}

fn act(world: &mut World, truth: &mut Truth, step: Step, next: &mut u64) -> Vec<Effect> {
    let alive = |truth: &Truth, which| Truth::pick(&truth.alive, which);
    match step {
        Step::Join if truth.alive.len() < 6 => {
            *next += 1;
            truth.alive.insert(*next);
            world.serving(*next, None, 8000)
        }
        Step::Accept if world.primary.wants_connection(0) => {
            let (connection, effects) = world.accept(0);
            truth.accepted.insert(connection);
            effects
        }
        Step::Answer { which, accepted } => {
            let Some(member) = alive(truth, which) else { return vec![] };
            let pending = truth.unacknowledged.entry(member).or_default();
            if pending.is_empty() {
                return vec![];
            }
            let (_, seq) = truth.held.remove(&pending.remove(0)).unwrap();
            world.answer(member, seq, accepted)
        }
        Step::Starve { which } => {
            let Some(member) = alive(truth, which) else { return vec![] };
            let pending = truth.unacknowledged.entry(member).or_default();
            if pending.is_empty() {
                return vec![];
            }
            truth.held.remove(&pending.remove(0));
            world.say(member, r#"{"cmd":"NODE_HANDLE_NACK"}"#)
        }
        Step::Inspect { untouched } if !truth.inspecting.is_empty() => {
            let connection = truth.inspecting.remove(0);
            world.event(Event::Inspected { connection, untouched })
        }
        Step::Drain { which } => {
            let Some(member) = alive(truth, which) else { return vec![] };
            truth.draining.insert(member);
            world.event(Event::Drain { member })
        }
        Step::Leave { which } => {
            let Some(member) = alive(truth, which) else { return vec![] };
            truth.draining.insert(member);
            world.say(member, r#"{"cmd":"NODE_CLUSTER","act":"exitedAfterDisconnect","seq":7}"#)
        }
        Step::Die { which } => {
            let Some(member) = alive(truth, which) else { return vec![] };
            truth.alive.remove(&member);
            truth.held.retain(|_, (holder, _)| *holder != member);
            truth.unacknowledged.remove(&member);
            world.event(Event::Exited { member })
        }
        Step::Wait { time } => world.wait(Duration::from_millis(time.into())),
        _ => vec![],
    }
}

proptest! {
    #[test]
    fn no_connection_is_lost_doubled_or_handed_to_the_wrong(
        steps in proptest::collection::vec(step(), 0..120), depth in 1_usize..4
    ) {
        let in_flight = depth.try_into().unwrap();
        let mut world = World::new(Options { in_flight, ..Options::default() });
        let (mut truth, mut next) = (Truth::default(), 0);
        for step in steps {
            let effects = act(&mut world, &mut truth, step, &mut next);
            truth.obey(&effects, depth);
        }
        // The world behaves from now on: whatever is still open ends up answered.
        let effects = act(&mut world, &mut truth, Step::Join, &mut next);
        truth.obey(&effects, depth);
        for round in 0..800 {
            let settling = [
                if truth.accepted.is_empty() { Step::Accept } else { Step::Wait { time: 0 } },
                Step::Inspect { untouched: true },
                Step::Answer { which: round, accepted: true },
                Step::Wait { time: 300 },
                Step::Join,
            ];
            for step in settling {
                let effects = act(&mut world, &mut truth, step, &mut next);
                truth.obey(&effects, depth);
            }
            if round % 50 == 49 {
                // Room for one that serves, where all were told to go.
                let gone = truth.draining.iter().find(|member| truth.alive.contains(member)).copied();
                if let Some(member) = gone {
                    let which = truth.alive.iter().position(|known| *known == member).unwrap();
                    let effects = act(&mut world, &mut truth, Step::Die { which }, &mut next);
                    truth.obey(&effects, depth);
                }
            }
            if truth.closed == truth.accepted && !truth.accepted.is_empty() {
                break;
            }
        }
        prop_assert!(!truth.accepted.is_empty(), "a world in which nothing happens proves nothing");
        prop_assert_eq!(&truth.closed, &truth.accepted);
    }
}
