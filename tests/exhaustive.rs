//! Every story of a few steps in a small fleet: what randomness may miss, this does not.
#![cfg(any())]
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod world;

use std::num::{NonZeroU16, NonZeroU32};

use dutch_master::{Rules, Urgency, WorkerEvent};
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

#[test]
fn every_short_story_obeys_the_rules() {
    const EVENTS: [WorkerEvent; 4] = [
        WorkerEvent::Ready,
        WorkerEvent::RestartRequested,
        WorkerEvent::Disconnected,
        WorkerEvent::Exited,
    ];
    let depth: usize = std::env::var("DEPTH").map_or(4, |depth| depth.parse().unwrap());
    let rules =
        Rules { failure_limit: NonZeroU32::new(2).unwrap(), surge: NonZeroU16::MIN, ..rules() };
    let mut choices = Choices::default();
    let mut stories = 0_u64;
    loop {
        let mut world = World::new(rules, 2, vec![Nature::PUPPET]);
        for _ in 0..depth {
            if world.exit.is_some() {
                break;
            }
            let ids = world.ids();
            match choices.choose(5 + 4 * ids.len()) {
                0 => drop(world.step()),
                1 => world.restart(),
                2 => world.scale(1),
                3 => world.scale(3),
                4 => world.stop(Urgency::Graceful),
                n => world.does(ids[(n - 5) / 4], EVENTS[(n - 5) % 4]),
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
