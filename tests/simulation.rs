//! Whatever happens, in whatever order: the rules hold, and calm brings the fleet to rest.
//!
//! 256 cases a test; `PROPTEST_CASES=20000 cargo test --test simulation` for more.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "a test")]

mod world;

use std::{
    collections::BTreeMap,
    num::{NonZeroU16, NonZeroU32},
    ops::Range,
    time::Duration,
};

use dutch_master::{OnFailedRoll, Recycle, Rules, Surge, Urgency, WorkerEvent};
use proptest::{collection::vec, option, prelude::*, strategy::ValueTree, test_runner::TestRunner};
use world::{Boot, Line, Millis, Nature, World};

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(Millis),
    Restart,
    Scale(u16),
    Does(usize, WorkerEvent),
}

fn ms(range: Range<Millis>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn some(range: Range<u16>) -> impl Strategy<Value = NonZeroU16> {
    range.prop_map(|n| NonZeroU16::new(n).unwrap())
}

fn step() -> impl Strategy<Value = Step> {
    let event = prop_oneof![
        4 => Just(WorkerEvent::Ready),
        2 => Just(WorkerEvent::RestartRequested),
        2 => Just(WorkerEvent::Disconnected),
        4 => Just(WorkerEvent::Exited),
        1 => Just(WorkerEvent::Recycle(Recycle::Memory)),
        1 => Just(WorkerEvent::Drained),
        1 => Just(WorkerEvent::Alive),
        1 => Just(WorkerEvent::WatchdogFailed),
        1 => prop_oneof![Just(Duration::ZERO), ms(50..200)].prop_map(WorkerEvent::WatchdogInterval),
        1 => ms(0..500).prop_map(WorkerEvent::StartTimeoutExtended),
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
    let rarely = || option::weighted(0.1, 0_u64..500);
    let going = (sometime(), rarely(), sometime());
    let failing = (rarely(), rarely(), rarely(), rarely(), rarely(), rarely(), rarely());
    (boot, going, failing).prop_map(|(boot, going, failing)| Nature {
        boot,
        exits_on_drain: going.0,
        is_drained: going.1,
        exits_on_term: going.2,
        dies: failing.0,
        disconnects: failing.1,
        asks: failing.2,
        swells: failing.3,
        trips: failing.4,
        falls_silent: failing.5,
        extends: failing.6,
    })
}

fn surge() -> impl Strategy<Value = Surge> {
    prop_oneof![
        4 => some(1..4).prop_map(Surge::Count),
        1 => some(1..150).prop_map(Surge::Percent),
        1 => Just(Surge::All),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    let limits = (surge(), option::of(some(1..4)), 1_u32..4, any::<bool>());
    let going = (ms(1..400), ms(1..200), ms(2..600), prop_oneof![Just(Duration::ZERO), ms(0..300)]);
    let care = (
        option::weighted(0.8, ms(20..400)),
        option::of(prop_oneof![Just(Duration::ZERO), ms(0..300)]),
        option::weighted(0.3, ms(50..300)),
        option::weighted(0.4, ms(1_200..4_000)),
    );
    let backoff = (ms(0..200), ms(1..100), ms(0..300), ms(400..2_000));
    (limits, going, care, backoff, any::<u64>()).prop_map(
        |(limits, (drain, term, stop, delay), care, (uptime, base, more, reset), seed)| Rules {
            surge: limits.0,
            max_draining: limits.1,
            canary: care.1,
            on_failed_roll: if limits.3 { OnFailedRoll::Keep } else { OnFailedRoll::Rollback },
            start_timeout: care.0,
            drain_timeout: drain,
            kill_timeout: drain + term,
            stop_timeout: stop,
            shutdown_delay: delay,
            watchdog: care.2,
            max_lifetime: care.3,
            jitter_seed: seed,
            min_uptime: uptime,
            backoff_base: base,
            backoff_cap: base + more,
            backoff_reset: reset,
            start_attempts: NonZeroU32::new(limits.2).unwrap(),
        },
    )
}

type Story = (Rules, u16, Vec<Nature>, Vec<Step>);

fn story() -> impl Strategy<Value = Story> {
    (rules(), 1_u16..=5, vec(nature(), 1..16), vec(step(), 0..40))
}

fn run((rules, workers, natures, steps): Story) -> World {
    let mut world = World::new(rules, workers, natures);
    for step in steps {
        if world.exit.is_some() {
            break;
        }
        match step {
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
    fn chaos_then_calm_brings_the_fleet_to_rest(story in story()) {
        run(story).settle();
    }

    #[test]
    fn stop_works_in_the_midst_of_chaos(story in story(), at_once in any::<bool>()) {
        let urgency = if at_once { Urgency::Immediate } else { Urgency::Graceful };
        run(story).stop_and_wait(urgency);
    }

    #[test]
    fn an_impatient_operator_gets_a_stop_at_once(story in story(), after in 0_u64..400) {
        let mut world = run(story);
        world.stop(Urgency::Graceful);
        world.wait(after);
        if world.exit.is_none() {
            world.stop_and_wait(Urgency::Immediate);
        }
    }

    #[test]
    fn the_same_story_is_told_twice(story in story()) {
        let again = story.clone();
        prop_assert_eq!(&run(story).trace, &run(again).trace);
    }
}

/// A simulation that never gets into trouble proves nothing about trouble.
#[test]
fn chaos_gets_everywhere() {
    const PLACES: [&str; 38] = [
        "Start { Boot",
        "Start { Scale",
        "Start { Roll",
        "Start { Revert",
        "Start { Crash",
        "Start { Left",
        "Start { Requested",
        "Start { Lifetime",
        "Start { Memory",
        "Start { Watchdog",
        "Drain { Replaced",
        "Drain { Surplus",
        "Drain { Stop",
        "Terminate { Late",
        "Terminate { Withdrawn",
        "Terminate { Surplus",
        "Terminate { Left",
        "Terminate { Drained",
        "Terminate { Overstayed",
        "Terminate { Stop",
        "Kill { Overstayed",
        "Kill { Immediate",
        "Announce(RollStarted { from: None",
        "Announce(RollStarted { from: Some",
        "Announce(CanaryReady",
        "Announce(AllReady",
        "Announce(Settled",
        "to: None })",
        "Announce(RollFailed",
        "Exit(Stopped",
        "Exit(Forced",
        "Exit(GaveUp",
        "Ready",
        "Exited",
        "StartTimeoutExtended",
        "WatchdogInterval",
        "Drained",
        "Alive",
    ];
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeMap::new();
    for number in 0..600 {
        let mut world = run(story().new_tree(&mut runner).unwrap().current());
        match number % 4 {
            0 => world.stop_and_wait(Urgency::Graceful),
            1 => world.stop_and_wait(Urgency::Immediate),
            _ => world.settle(),
        }
        let lines: Vec<_> = world.trace.iter().map(short).collect();
        for place in PLACES {
            let count: &mut u32 = seen.entry(place).or_default();
            *count += u32::from(lines.iter().any(|line| line.contains(place)));
        }
    }
    println!("{seen:#?}");
    let rare: Vec<_> = seen.iter().filter(|&(_, &count)| count < 5).collect();
    assert!(rare.is_empty(), "chaos hardly ever gets to {rare:?}");
}

/// A line without the names: `Start { Boot`.
fn short(line: &Line) -> String {
    let text = match line {
        Line::Event(_, event) => format!("{event:?}"),
        Line::Action(action) => format!("{action:?}"),
    };
    match (text.split_once(" { worker"), text.split_once("cause: ")) {
        (Some((verb, _)), Some((_, cause))) => format!("{verb} {{ {cause}"),
        _ => text,
    }
}
