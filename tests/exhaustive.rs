//! Every story of a few steps in a small fleet: what randomness may miss, this does not.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test"
)]

mod world;

use std::{num::NonZeroU32, time::Duration};

use dutch_master::{OnFailedRoll, Rules, Urgency, WorkerEvent};
use world::{Nature, World, rules};

/// Enumerates every sequence of choices: each run replays a prefix and takes the next branch.
#[derive(Default)]
struct Choices {
    made: Vec<(usize, usize)>,
    next: usize,
}

impl Choices {
    fn choose(&mut self, bound: usize) -> usize {
        if self.next == self.made.len() {
            self.made.push((0, bound));
        }
        let (choice, _) = self.made[self.next];
        self.next += 1;
        choice
    }

    fn advance(&mut self) -> bool {
        self.next = 0;
        while let Some((choice, bound)) = self.made.pop() {
            if choice + 1 < bound {
                self.made.push((choice + 1, bound));
                return true;
            }
        }
        false
    }
}

fn tell_every_story(rules: Rules, is_up: bool) {
    const EVENTS: [WorkerEvent; 5] = [
        WorkerEvent::Ready,
        WorkerEvent::RestartRequested,
        WorkerEvent::Disconnected,
        WorkerEvent::Exited,
        WorkerEvent::Drained,
    ];
    let depth: usize =
        std::env::var_os("DEPTH").map_or(4, |depth| depth.into_string().unwrap().parse().unwrap());
    let mut choices = Choices::default();
    let mut stories = 0_u64;
    loop {
        let mut world = World::new(rules, 2, vec![Nature::PUPPET]);
        if is_up {
            world.ids().into_iter().for_each(|id| world.does(id, WorkerEvent::Ready));
            world.wait(100);
        }
        for _ in 0..depth {
            if world.exit.is_some() {
                break;
            }
            let ids = world.ids();
            match choices.choose(6 + EVENTS.len() * ids.len()) {
                0 => drop(world.step()),
                1 => world.restart(),
                2 => world.scale(1),
                3 => world.scale(3),
                4 => world.stop(Urgency::Graceful),
                5 => world.stop(Urgency::Immediate),
                n => world.does(ids[(n - 6) / EVENTS.len()], EVENTS[(n - 6) % EVENTS.len()]),
            }
        }
        if world.exit.is_none() {
            world.settle();
        }
        stories += 1;
        if !choices.advance() {
            break;
        }
    }
    println!("{stories} stories of {depth} steps");
}

#[test]
fn every_short_story_from_the_boot_obeys_the_rules() {
    tell_every_story(Rules { start_attempts: NonZeroU32::new(2).unwrap(), ..rules() }, false);
}

#[test]
fn every_short_story_of_a_careful_fleet_obeys_the_rules() {
    let careful = Rules {
        start_attempts: NonZeroU32::MIN,
        max_draining: Some(std::num::NonZeroU16::MIN),
        canary: Some(Duration::ZERO),
        on_failed_roll: OnFailedRoll::Keep,
        shutdown_delay: Duration::from_millis(30),
        ..rules()
    };
    tell_every_story(careful, true);
}
