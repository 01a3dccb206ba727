//! Stories of rolls that are careful, and of workers that must be replaced though nobody rolls.

use dutch_master::{OnFailedRoll, Reason, Recycle, StartCause};

use super::*;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A settled fleet whose drained workers go at once.
fn careful(workers: u16, rules: Rules) -> World {
    let leaves = Nature { exits_on_drain: Some(1), exits_on_term: Some(1), ..Nature::PUPPET };
    let mut world = World::new(rules, workers, vec![leaves]);
    all_ready(&mut world);
    world
}

fn all() -> Rules {
    Rules { surge: Surge::All, ..rules() }
}

fn fails(world: &mut World) {
    let successor = in_state(world, Starting).into_iter().next().unwrap();
    world.does(successor, WorkerEvent::Exited);
}

#[test]
fn the_others_follow_once_the_canary_is_ready() {
    let mut world = careful(3, Rules { canary: Some(Duration::ZERO), ..all() });
    world.restart();
    let canary = the(&world, Starting);
    world.does(canary, WorkerEvent::Ready);
    assert!(matches!(world.milestones.last(), Some(Milestone::CanaryReady(_))));
    assert_eq!(in_state(&world, Starting).len(), 2);
}

#[test]
fn a_canary_must_live_as_long_as_it_was_told() {
    let mut world = careful(3, Rules { canary: Some(millis(300)), ..all() });
    world.restart();
    let canary = the(&world, Starting);
    world.does(canary, WorkerEvent::Ready);
    world.wait(299);
    assert_eq!(in_state(&world, Starting), []);
    world.wait(1);
    assert_eq!(in_state(&world, Starting).len(), 2);
}

#[test]
fn a_canary_that_dies_before_its_time_has_failed_however_long_it_lived() {
    let one = Rules { start_attempts: NonZeroU32::MIN, canary: Some(millis(300)), ..all() };
    let mut world = careful(2, one);
    world.restart();
    let canary = the(&world, Starting);
    world.does(canary, WorkerEvent::Ready);
    world.wait(299);
    world.does(canary, WorkerEvent::Exited);
    assert!(world.has_failed_a_roll());
}

#[test]
fn a_crash_while_the_canary_is_out_brings_the_good_release_back() {
    let mut world = careful(2, Rules { canary: Some(millis(300)), ..rules() });
    let good = world.fleet.wanted();
    world.restart();
    let old = the(&world, Ready);
    world.does(old, WorkerEvent::Exited);
    let back = world.fleet.workers().find(|view| view.slot.get() == 1).unwrap();
    assert_eq!((Some(back.generation), back.state), (good, Starting));
}

#[test]
fn a_crash_outside_a_roll_brings_the_same_generation_back() {
    let mut world = careful(2, rules());
    let crashed = world.ids()[0];
    let of = world.generations()[0];
    world.does(crashed, WorkerEvent::Exited);
    assert_eq!(world.generations(), [of, of]);
    assert_eq!(world.told("cause: Crash"), 1);
}

#[test]
fn a_broken_release_is_never_forked_more_often_than_it_may_fail() {
    let mut world = careful(9, all());
    world.restart();
    assert_eq!(in_state(&world, Starting).len(), 3);
    for _ in 0..3 {
        fails(&mut world);
        world.wait(300);
    }
    assert!(world.has_failed_a_roll());
    assert_eq!(world.told("cause: Roll"), 3);
    assert_eq!(world.serving(), 9);
}

#[test]
fn the_next_try_of_a_failed_release_waits_in_whichever_slot() {
    let mut world = careful(3, rules());
    world.restart();
    let delays = [(); 2].map(|()| {
        fails(&mut world);
        let failed = world.now;
        while in_state(&world, Starting).is_empty() {
            world.step();
        }
        world.now - failed
    });
    assert_eq!(delays, [50, 100]);
}

#[test]
fn a_success_between_failures_makes_the_next_one_a_first() {
    let mut world = careful(4, rules());
    world.restart();
    for _ in 0..2 {
        fails(&mut world);
        world.wait(200);
    }
    let good = the(&world, Starting);
    world.does(good, WorkerEvent::Ready);
    world.wait(100);
    for _ in 0..2 {
        fails(&mut world);
        world.wait(200);
    }
    assert!(!world.has_failed_a_roll());
    fails(&mut world);
    assert!(world.has_failed_a_roll());
}

#[test]
fn with_keep_a_failed_roll_leaves_everybody_as_they_are() {
    let keep = Rules { on_failed_roll: OnFailedRoll::Keep, ..rules() };
    let mut world = careful(2, keep);
    let good = world.fleet.wanted().unwrap();
    world.restart();
    let replaced = the(&world, Starting);
    let new = world.fleet.wanted().unwrap();
    world.does(replaced, WorkerEvent::Ready);
    world.wait(100);
    for _ in 0..3 {
        fails(&mut world);
        world.wait(500);
    }
    assert!(matches!(world.milestones.last(), Some(Milestone::RollFailed { to: None, .. })));
    assert_eq!(world.states(), [Ready, Ready]);
    assert_eq!(world.generations(), [new, good]);
    assert!(world.fleet.needs(new) && world.fleet.needs(good));
    world.does(replaced, WorkerEvent::Exited);
    assert_eq!(world.generations(), [new, good], "a crash deploys nothing");
    for _ in 0..3 {
        assert_eq!(world.generations(), [new, good], "it is kept until it has failed too often");
        fails(&mut world);
        world.wait(500);
    }
    assert_eq!(world.generations(), [good, good], "what fails again and again is kept no more");
    assert!(!world.fleet.needs(new));
}

#[test]
fn a_boot_that_once_lasted_is_not_given_up() {
    let mut world = careful(1, rules());
    for _ in 0..9 {
        world.wait(500);
        if let Some(&id) = in_state(&world, Starting).first() {
            world.does(id, WorkerEvent::Exited);
        } else if let Some(&id) = world.ids().first() {
            world.does(id, WorkerEvent::Exited);
        }
    }
    assert_eq!(world.exit, None);
}

#[test]
fn a_roll_away_from_a_boot_that_works_in_part_can_go_back() {
    let mut world = puppets(2);
    let good = world.fleet.wanted();
    let works = world.ids()[0];
    world.does(works, WorkerEvent::Ready);
    world.wait(100);
    world.restart();
    let roll = world.fleet.progress().unwrap();
    assert_eq!(roll.from, good);
    assert_eq!((roll.done, roll.of, roll.is_revert), (0, 2, false));
}

#[test]
fn a_silent_worker_is_replaced_replacement_first() {
    let mut world = careful(2, Rules { watchdog: Some(millis(300)), ..rules() });
    let [silent, lively] = world.ids()[..] else { panic!() };
    world.does(silent, WorkerEvent::Alive);
    world.wait(150);
    world.does(lively, WorkerEvent::Alive);
    world.wait(149);
    assert_eq!(in_state(&world, Starting), []);
    world.wait(1);
    assert_eq!(in_state(&world, Retiring), [silent]);
    assert_eq!(world.told("cause: Watchdog"), 1);
    let view = world.fleet.workers().next().unwrap();
    assert_eq!(view.reason, Some(Reason::Replace(StartCause::Watchdog)));
    let successor = the(&world, Starting);
    world.does(successor, WorkerEvent::Ready);
    assert!(in_state(&world, Ready).contains(&successor));
}

#[test]
fn a_worker_may_choose_its_own_interval_or_none() {
    let mut world = careful(2, Rules { watchdog: Some(millis(150)), ..rules() });
    let [slow, never] = world.ids()[..] else { panic!() };
    world.does(slow, WorkerEvent::WatchdogInterval(millis(300)));
    world.does(never, WorkerEvent::WatchdogInterval(Duration::ZERO));
    world.wait(299);
    assert_eq!(world.told("cause: Watchdog"), 0);
    world.wait(1);
    assert_eq!(in_state(&world, Retiring), [slow]);
}

#[test]
fn the_silent_go_before_those_that_a_roll_replaces() {
    let mut world = careful(3, rules());
    let hangs = world.ids()[2];
    world.restart();
    fails(&mut world);
    world.does(hangs, WorkerEvent::WatchdogFailed);
    assert_eq!(in_state(&world, Retiring), [hangs]);
}

#[test]
fn when_there_is_room_again_the_silent_go_first() {
    let mut world = careful(3, rules());
    let hangs = world.ids()[2];
    world.restart();
    let successor = the(&world, Starting);
    world.does(hangs, WorkerEvent::WatchdogFailed);
    assert_eq!(in_state(&world, Starting), [successor]);
    world.does(successor, WorkerEvent::Ready);
    while in_state(&world, Starting).is_empty() {
        assert!(world.step());
    }
    assert_eq!(in_state(&world, Retiring), [hangs]);
}

#[test]
fn the_good_release_does_not_stand_in_for_a_worker_of_the_new_one() {
    let mut world = careful(2, Rules { min_uptime: millis(100), ..all() });
    world.restart();
    for id in in_state(&world, Starting) {
        world.does(id, WorkerEvent::Ready);
    }
    world.wait(99);
    let asker = in_state(&world, Ready)[0];
    let new = world.fleet.wanted().unwrap();
    world.does(asker, WorkerEvent::RestartRequested);
    assert_eq!(in_state(&world, Starting), []);
    world.wait(60);
    assert_eq!(world.generations(), [new, new, new]);
}

#[test]
fn too_much_memory_is_answered_with_a_successor() {
    let mut world = careful(1, rules());
    let fat = the(&world, Ready);
    world.does(fat, WorkerEvent::Recycle(Recycle::Memory));
    assert_eq!(world.states(), [Retiring, Starting]);
    assert_eq!(world.told("cause: Memory"), 1);
}

#[test]
fn workers_grow_old_at_different_times_within_a_tenth() {
    let old = Rules { max_lifetime: Some(millis(10_000)), ..rules() };
    let mut world = careful(8, old);
    let ends: Vec<_> = world.fleet.workers().map(|view| view.until.unwrap()).collect();
    let ends: Vec<_> = ends.iter().map(|at| at.since(Timestamp::ORIGIN).as_millis()).collect();
    assert!(ends.iter().all(|end| (9_000..=11_000).contains(end)), "{ends:?}");
    let spread = ends.iter().max().unwrap() - ends.iter().min().unwrap();
    assert!(spread > 500, "{ends:?}");
    world.wait(u64::try_from(*ends.iter().min().unwrap()).unwrap() - world.now);
    assert_eq!(world.told("cause: Lifetime"), 1);
}

#[test]
fn lifetimes_differ_from_worker_to_worker_and_from_fleet_to_fleet() {
    let ends = |jitter_seed| {
        let rules = Rules { max_lifetime: Some(millis(10_000)), jitter_seed, ..rules() };
        let world = careful(3, rules);
        let ends: Vec<_> = world.fleet.workers().map(|view| view.until.unwrap()).collect();
        assert!(ends[0] != ends[1] && ends[1] != ends[2], "{jitter_seed}: {ends:?}");
        ends
    };
    assert_ne!(ends(0), ends(1));
}

#[test]
fn workers_that_all_ask_at_once_again_and_again_are_slowed_down() {
    let asks = Nature { asks: Some(0), ..Nature::GOOD };
    let mut world = World::new(rules(), 1, vec![asks]);
    world.wait(10_000);
    assert!(world.told("Start {") < 35, "{}", world.told("Start {"));
    assert_eq!(world.serving(), 1);
}

#[test]
fn a_starting_worker_may_ask_for_more_time_but_not_for_less() {
    let mut world = puppets(1);
    let slow = the(&world, Starting);
    world.does(slow, WorkerEvent::StartTimeoutExtended(millis(10)));
    world.wait(999);
    assert_eq!(world.states(), [Starting]);
    world.does(slow, WorkerEvent::StartTimeoutExtended(millis(500)));
    world.wait(499);
    assert_eq!(world.states(), [Starting]);
    world.wait(1);
    assert_eq!(in_state(&world, Terminating), [slow]);
}

#[test]
fn without_a_start_timeout_a_worker_has_all_the_time() {
    let patient = Nature { boot: world::Boot::Ready(1_000_000), ..Nature::PUPPET };
    let mut world = World::new(Rules { start_timeout: None, ..rules() }, 1, vec![patient]);
    assert_eq!(world.fleet.deadline(), None);
    world.wait(999_999);
    assert_eq!(world.states(), [Starting]);
}

#[test]
fn scaling_down_lets_all_the_surplus_go_at_once() {
    let mut world = careful(4, Rules { max_draining: Some(NonZeroU16::MIN), ..rules() });
    world.scale(1);
    assert_eq!(in_state(&world, Draining).len(), 3);
    let last = the(&world, Ready);
    world.does(last, WorkerEvent::Exited);
    assert_eq!(in_state(&world, Starting).len(), 1, "a crash is never held back");
}

#[test]
fn those_who_leave_by_themselves_are_replaced_as_far_as_memory_goes() {
    let mut world = puppets_with(4, Rules { max_draining: Some(NonZeroU16::MIN), ..rules() });
    all_ready(&mut world);
    for id in world.ids() {
        world.does(id, WorkerEvent::Disconnected);
    }
    assert_eq!(in_state(&world, Starting).len(), 2, "four leave, six may be");
    let gone = in_state(&world, Draining)[0];
    world.does(gone, WorkerEvent::Exited);
    assert_eq!(in_state(&world, Starting).len(), 3);
}

#[test]
fn surge_may_be_a_share_of_the_fleet_rounded_up() {
    let percent = |n| Rules { surge: Surge::Percent(NonZeroU16::new(n).unwrap()), ..rules() };
    for (share, expected) in [(1, 1), (34, 2), (67, 3)] {
        let mut world = careful(3, percent(share));
        world.restart();
        assert_eq!(in_state(&world, Starting).len(), expected, "{share} %");
    }
}

#[test]
fn two_hundred_workers_roll_at_once() {
    let mut world = World::new(Rules { surge: Surge::All, ..rules() }, 200, vec![Nature::GOOD]);
    world.wait(200);
    world.restart();
    world.wait(1_000);
    assert!(world.fleet.is_settled());
    assert_eq!(world.fleet.ready_count(), 200);
}

#[test]
fn a_release_is_needed_while_nobody_of_it_lives() {
    let mut world = careful(1, rules());
    let release = world.fleet.wanted().unwrap();
    let worker = the(&world, Ready);
    world.does(worker, WorkerEvent::Exited);
    fails(&mut world);
    assert_eq!(world.states(), [], "the next one is held back");
    assert!(world.fleet.needs(release));
    world.restart();
    let next = world.fleet.wanted().unwrap();
    assert_eq!(world.generations(), [next]);
    assert!(world.fleet.needs(next) && world.fleet.needs(release), "it may have to go back");
}

#[test]
fn a_boot_that_has_lasted_is_gone_back_to_even_if_nobody_serves_when_a_roll_is_asked_for() {
    let mut world = puppets_with(2, rules());
    let boot = world.fleet.wanted().unwrap();
    let first = in_state(&world, Starting)[0];
    world.does(first, WorkerEvent::Ready);
    world.wait(100);
    world.does(first, WorkerEvent::Exited);
    assert_eq!(world.fleet.ready_count(), 0);
    world.restart();
    for _ in 0..9 {
        for starter in in_state(&world, Starting) {
            world.does(starter, WorkerEvent::Exited);
        }
        world.wait(500);
    }
    assert_eq!(world.fleet.wanted(), Some(boot));
}

#[test]
fn a_fleet_at_rest_waits_for_nobody_to_prove_itself() {
    let mut world = puppets(2);
    for id in world.ids() {
        world.does(id, WorkerEvent::Ready);
    }
    world.wait(60_000);
    let dead = world.ids()[0];
    world.does(dead, WorkerEvent::Exited);
    world.does(the(&world, Starting), WorkerEvent::Ready);
    assert_eq!(world.serving(), 2);
    assert_eq!(world.fleet.deadline(), None, "it would wake up for nothing");
}
