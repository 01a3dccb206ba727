//! Everything that goes wrong in production, in any order, with load on it.
//!
//! `scripts/test chaos` sets up what this needs. `CHAOS_SEED` repeats a run's deeds in their order
//! (what the machine makes of them differs), `CHAOS_SECONDS` says how long each run takes. A run
//! prints its seed and what it did.
//!
//! Clocks: the master reads `CLOCK_MONOTONIC` alone, which no setting of the time moves, so a jump
//! is shown here from the only side from which there is one: a time namespace far from its origin.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and may read its environment and the clock"
)]

#[path = "../docker/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the docker suite uses the rest of it")]
mod harness;

mod costs;
mod deeds;
mod dice;
mod elsewhere;
mod fleet;

use std::{
    env,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use costs::Costs;
use deeds::{DEEDS, Deed, HARMLESS, rest};
use dice::Dice;
use fleet::{CLIENTS, Fleet, LARGEST};

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// One run: chaos for a while, then peace, and then everything must be as it was.
fn run(balance: &str, deeds: &[Deed], seed: u64) {
    let seconds = number("CHAOS_SECONDS").unwrap_or(12);
    println!("{balance}: CHAOS_SEED={seed} CHAOS_SECONDS={seconds}");
    let mut dice = Dice::new(seed);
    let mut fleet = Fleet::start(balance);
    fleet.ask(&["scale", &LARGEST.to_string()]);
    fleet.settle();
    let before = Costs::of(&fleet.container);
    let load = fleet.container.load(&format!(
        "by=version one-shot={} keep-alive={} pause=5 timeout=25000",
        CLIENTS.0, CLIENTS.1
    ));
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let (name, deed) = dice.one_of(deeds).expect("deeds");
        print!("{name}, ");
        deed(&mut fleet, &mut dice);
        rest(dice.between(0, 400));
    }
    println!("peace after {} deaths", fleet.deaths);
    fleet.settle();
    let report = load.finish();
    println!("{report}");
    fleet.judge(&report);
    fleet.costs_no_more_than(&before);
    assert_eq!(fleet.container.stop().0, 0, "{}", fleet.container.tail());
}

fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a date");
    number("CHAOS_SEED").unwrap_or(now.as_secs())
}

#[test]
fn chaos_costs_no_request_but_those_of_the_dead_where_each_slot_has_a_socket() {
    run("slot", &DEEDS, seed());
}

#[test]
fn chaos_costs_no_request_but_those_of_the_dead_where_workers_share_a_queue() {
    run("shared", &DEEDS, seed() ^ 1);
}

#[test]
fn chaos_in_which_nobody_dies_costs_no_request() {
    run("slot", &HARMLESS, seed() ^ 2);
}
