//! Whatever happens, in whatever order: the rules hold, and calm brings the fleet to rest.
#![cfg(any())]
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

mod world;

use std::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use dutch_master::{Rules, Urgency, WorkerEvent};
use proptest::{collection::vec, option, prelude::*, strategy::ValueTree, test_runner::TestRunner};
use world::{Boot, Millis, Nature, World};

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(Millis),
    Restart,
    Scale(u16),
    Does(usize, WorkerEvent),
}

fn step() -> impl Strategy<Value = Step> {
    let event = prop_oneof![
        Just(WorkerEvent::Ready),
        Just(WorkerEvent::RestartRequested),
        Just(WorkerEvent::Disconnected),
        Just(WorkerEvent::Exited),
    ];
    prop_oneof![
        4 => (0_u64..400).prop_map(Step::Wait),
        1 => Just(Step::Restart),
        1 => (1_u16..=5).prop_map(Step::Scale),
        3 => (0_usize..16, event).prop_map(|(who, event)| Step::Does(who, event)),
    ]
}

fn nature() -> impl Strategy<Value = Nature> {
    let boot = prop_oneof![
        5 => (0_u64..300).prop_map(Boot::Ready),
        2 => (0_u64..300).prop_map(Boot::Dies),
        1 => Just(Boot::Hangs),
    ];
    let sometime = || option::weighted(0.8, 0_u64..700);
    let rarely = || option::weighted(0.15, 0_u64..500);
    (boot, sometime(), sometime(), rarely(), rarely(), rarely()).prop_map(
        |(boot, exits_on_drain, exits_on_term, dies, disconnects, asks)| Nature {
            boot,
            exits_on_drain,
            exits_on_term,
            dies,
            disconnects,
            asks,
        },
    )
}

fn rules() -> impl Strategy<Value = Rules> {
    let ms = Duration::from_millis;
    (
        (1_u16..4, 1_u32..4),
        (20_u64..400, 1_u64..400, 1_u64..200),
        (0_u64..200, 1_u64..100, 0_u64..300),
    )
        .prop_map(move |((surge, limit), (start, drain, term), (uptime, base, more))| Rules {
            surge: NonZeroU16::new(surge).unwrap(),
            start_timeout: ms(start),
            drain_timeout: ms(drain),
            term_timeout: ms(term),
            // A killed process takes a millisecond to be reaped.
            stop_timeout: ms(drain + term + 2),
            min_uptime: ms(uptime),
            backoff_base: ms(base),
            backoff_cap: ms(base + more),
            failure_limit: NonZeroU32::new(limit).unwrap(),
        })
}

fn run(rules: Rules, workers: u16, natures: Vec<Nature>, steps: &[Step]) -> World {
    let mut world = World::new(rules, workers, natures);
    for step in steps {
        if world.exit.is_some() {
            break;
        }
        match *step {
            Step::Wait(millis) => world.wait(millis),
            Step::Restart => world.restart(),
            Step::Scale(workers) => world.scale(workers),
            Step::Does(who, event) => {
                if let Some(&id) = world.ids().get(who) {
                    world.does(id, event);
                }
            }
        }
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chaos_then_calm_brings_the_fleet_to_rest(
        rules in rules(),
        workers in 1_u16..=5,
        natures in vec(nature(), 1..16),
        steps in vec(step(), 0..40),
    ) {
        let mut world = run(rules, workers, natures, &steps);
        world.settle();
    }

    #[test]
    fn stop_works_in_the_midst_of_chaos(
        rules in rules(),
        workers in 1_u16..=5,
        natures in vec(nature(), 1..16),
        steps in vec(step(), 0..40),
        quick in any::<bool>(),
    ) {
        let mut world = run(rules, workers, natures, &steps);
        world.stop_and_wait(if quick { Urgency::Quick } else { Urgency::Graceful });
    }

    #[test]
    fn the_same_story_is_told_twice(
        rules in rules(),
        workers in 1_u16..=5,
        natures in vec(nature(), 1..16),
        steps in vec(step(), 0..20),
    ) {
        let first = run(rules, workers, natures.clone(), &steps);
        let second = run(rules, workers, natures, &steps);
        prop_assert_eq!(first.trace, second.trace);
    }
}

/// A simulation that never gets into trouble proves nothing about trouble.
#[test]
fn chaos_gets_everywhere() {
    let story = (rules(), 1_u16..=5, vec(nature(), 1..16), vec(step(), 0..40));
    let mut runner = TestRunner::deterministic();
    let mut seen = [
        ("RollStarted", 0),
        ("RollFailed", 0),
        ("Settled", 0),
        ("Drain(", 0),
        ("Kill(", 0),
        ("Exit(GaveUp)", 0),
    ];
    for _ in 0..500 {
        let (rules, workers, natures, steps) = story.new_tree(&mut runner).unwrap().current();
        let mut world = run(rules, workers, natures, &steps);
        world.settle();
        for (what, count) in &mut seen {
            *count += i32::from(world.trace.iter().any(|line| line.contains(*what)));
        }
    }
    println!("{seen:?}");
    assert!(seen.iter().all(|&(_, count)| count >= 10), "{seen:?}");
}
