//! One story a test: what the fleet does, in the words an operator would use.
#![allow(clippy::panic, clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test")]

mod care;
mod long;
mod stop;
#[path = "../world/mod.rs"]
mod world;

use std::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use dutch_master::{
    Action, Command, Event, Fleet, LeaveCause, Milestone, Outcome, Policy, PolicyError, Rules,
    Surge, Timestamp, Urgency, WorkerEvent, WorkerId,
    WorkerState::{self, Draining, Killed, Ready, Retiring, Starting, Terminating},
};
use world::{Nature, World, rules};

/// Everybody does only what the story says.
fn puppets(workers: u16) -> World {
    puppets_with(workers, rules())
}

fn puppets_with(workers: u16, rules: Rules) -> World {
    World::new(rules, workers, vec![Nature::PUPPET])
}

/// A fleet of puppets that all became ready and are believed in.
fn running(workers: u16) -> World {
    let mut world = puppets(workers);
    all_ready(&mut world);
    world
}

fn all_ready(world: &mut World) {
    for id in world.ids() {
        world.does(id, WorkerEvent::Ready);
    }
    world.wait(100);
    assert!(world.fleet.is_settled());
}

fn in_state(world: &World, state: WorkerState) -> Vec<WorkerId> {
    world.fleet.workers().filter(|view| view.state == state).map(|view| view.worker).collect()
}

fn the(world: &World, state: WorkerState) -> WorkerId {
    let [id] = in_state(world, state)[..] else { panic!("{:?}", world.states()) };
    id
}

#[test]
fn boot_starts_everybody_and_settles_once_they_have_lasted() {
    let mut world = puppets(2);
    assert_eq!(world.states(), [Starting, Starting]);
    for id in world.ids() {
        world.does(id, WorkerEvent::Ready);
    }
    world.wait(99);
    assert!(!world.fleet.is_settled());
    world.wait(1);
    assert!(matches!(world.milestones[..], [Milestone::AllReady(_), Milestone::Settled(_)]));
}

#[test]
fn a_roll_lets_nobody_go_before_a_successor_is_ready() {
    let mut world = running(2);
    world.restart();
    assert_eq!(world.states(), [Retiring, Starting, Ready]);
    let successor = the(&world, Starting);
    world.does(successor, WorkerEvent::Ready);
    assert_eq!(world.states(), [Ready, Retiring, Starting, Draining]);
    assert_eq!(world.serving(), 2);
}

#[test]
fn a_handover_waits_until_there_is_room_for_one_more_to_drain() {
    let mut world = puppets_with(2, Rules { max_draining: Some(NonZeroU16::MIN), ..rules() });
    all_ready(&mut world);
    world.restart();
    let successor = the(&world, Starting);
    world.does(successor, WorkerEvent::Ready);
    let drained = the(&world, Draining);
    assert_eq!(in_state(&world, Starting), []);
    world.does(drained, WorkerEvent::Exited);
    assert_eq!(world.states(), [Ready, Retiring, Starting]);
}

#[test]
fn surge_counts_those_who_start_and_not_those_who_drain() {
    let mut world = running(2);
    world.restart();
    let successor = the(&world, Starting);
    world.does(successor, WorkerEvent::Ready);
    assert_eq!(world.states(), [Ready, Retiring, Starting, Draining]);
}

#[test]
fn a_restart_during_a_roll_takes_the_rest_straight_to_the_newest() {
    let mut world = running(2);
    let first = world.fleet.wanted();
    world.restart();
    let second = world.fleet.wanted();
    world.restart();
    let third = world.fleet.wanted();
    assert!(first < second && second < third);
    world.natures = vec![Nature::GOOD];
    let successor = the(&world, Starting);
    world.does(successor, WorkerEvent::Ready);
    world.settle();
    let starts = world.told("Start {");
    assert_eq!(starts, 2 + 1 + 2, "the boot, one of the middle generation, two of the newest");
}

#[test]
fn restarts_that_nobody_was_started_for_are_one() {
    let mut world = running(1);
    world.restart();
    let successor = the(&world, Starting);
    world.does(successor, WorkerEvent::Ready);
    world.restart();
    let wanted = world.fleet.wanted();
    world.restart();
    assert_eq!(world.fleet.wanted(), wanted);
}

#[test]
fn a_roll_that_keeps_failing_leaves_the_old_in_place() {
    let mut world = running(2);
    let old = world.ids();
    world.restart();
    for _ in 0..3 {
        let successor = the(&world, Starting);
        world.does(successor, WorkerEvent::Exited);
        world.wait(400);
    }
    assert!(matches!(world.milestones.last(), Some(Milestone::Settled(_))));
    assert!(world.milestones.iter().any(|m| matches!(m, Milestone::RollFailed { .. })));
    assert_eq!(world.ids(), old);
}

#[test]
fn a_roll_that_fails_halfway_takes_back_what_it_replaced() {
    let mut world = running(2);
    let good = world.fleet.wanted();
    world.restart();
    let successor = the(&world, Starting);
    world.does(successor, WorkerEvent::Ready);
    let drained = the(&world, Draining);
    world.does(drained, WorkerEvent::Exited);
    world.wait(100);
    for _ in 0..3 {
        let successor = the(&world, Starting);
        world.does(successor, WorkerEvent::Exited);
        world.wait(200);
    }
    assert_eq!(world.fleet.wanted(), good);
    world.settle();
    assert!(world.generations().iter().all(|&of| Some(of) == good));
}

#[test]
fn a_release_that_dies_right_after_it_was_ready_fails_the_roll() {
    let mut world = running(1);
    let good = world.fleet.wanted();
    world.restart();
    for _ in 0..3 {
        world.wait(800);
        let young = the(&world, Starting);
        world.does(young, WorkerEvent::Ready);
        world.does(young, WorkerEvent::Exited);
        // The good one comes back at once, and is replaced again when the next trial is due.
        let back = the(&world, Starting);
        assert_eq!(world.fleet.workers().map(|view| view.generation).max(), good);
        world.does(back, WorkerEvent::Ready);
    }
    assert_eq!(world.fleet.wanted(), good);
    assert!(world.has_failed_a_roll());
}

#[test]
fn a_roll_asked_for_before_the_boot_has_lasted_goes_back_to_what_serves() {
    let mut world = puppets(2);
    for id in world.ids() {
        world.does(id, WorkerEvent::Ready);
    }
    let first = world.fleet.wanted();
    world.restart();
    let failed =
        |world: &World| world.milestones.iter().any(|m| matches!(m, Milestone::RollFailed { .. }));
    for _ in 0..20 {
        if failed(&world) {
            break;
        }
        for id in in_state(&world, Starting) {
            let mut all = world.fleet.workers();
            let is_young = all.any(|view| view.worker == id && Some(view.generation) > first);
            drop(all);
            world.does(id, WorkerEvent::Ready);
            if is_young {
                world.does(id, WorkerEvent::Exited);
            }
        }
        world.wait(100);
    }
    assert!(failed(&world));
    assert_eq!((world.fleet.wanted(), world.exit), (first, None));
    assert!(world.serving() >= 1);
}

#[test]
fn a_generation_given_up_on_does_not_take_over_after_all() {
    let mut world = puppets_with(3, Rules { surge: Surge::Count(two()), ..rules() });
    all_ready(&mut world);
    world.restart();
    let [proven, late] = in_state(&world, Starting)[..] else { panic!() };
    world.does(proven, WorkerEvent::Ready);
    world.wait(100);
    for _ in 0..3 {
        let failing = *in_state(&world, Starting).iter().find(|&&id| id != late).unwrap();
        world.does(failing, WorkerEvent::Exited);
        world.wait(200);
    }
    assert!(world.has_failed_a_roll());
    world.does(late, WorkerEvent::Ready);
    assert!(!in_state(&world, Ready).contains(&late));
    assert!(world.told("cause: Withdrawn") == 1);
}

fn two() -> NonZeroU16 {
    NonZeroU16::new(2).unwrap()
}

#[test]
fn a_restart_does_not_wait_for_backoff() {
    let mut world = running(1);
    let believed_in = the(&world, Ready);
    world.does(believed_in, WorkerEvent::Exited);
    let young = the(&world, Starting);
    world.does(young, WorkerEvent::Exited);
    assert_eq!(world.states(), []);
    world.restart();
    assert_eq!(world.states(), [Starting]);
}

#[test]
fn who_was_believed_in_is_replaced_at_once_though_a_successor_of_its_has_just_failed() {
    let mut world = running(1);
    let believed_in = the(&world, Ready);
    world.does(believed_in, WorkerEvent::RestartRequested);
    let successor = the(&world, Starting);
    world.does(successor, WorkerEvent::Exited);
    assert_eq!(world.states(), [Ready]);
    world.does(believed_in, WorkerEvent::Exited);
    assert_eq!(world.states(), [Starting]);
}

#[test]
fn a_boot_is_not_given_up_while_one_slot_may_still_make_it() {
    let mut world = puppets(2);
    let slow = world.ids()[0];
    for _ in 0..3 {
        let failing = in_state(&world, Starting)[1];
        world.does(failing, WorkerEvent::Exited);
        world.wait(200);
    }
    world.does(slow, WorkerEvent::Ready);
    assert_eq!(in_state(&world, Ready), [slow]);
}

#[test]
fn a_worker_that_asks_twice_is_replaced_once() {
    let mut world = running(2);
    let asker = in_state(&world, Ready)[1];
    world.does(asker, WorkerEvent::RestartRequested);
    world.does(asker, WorkerEvent::RestartRequested);
    assert_eq!(world.states(), [Ready, Retiring, Starting]);
    let successor = the(&world, Starting);
    world.does(successor, WorkerEvent::Ready);
    assert_eq!(the(&world, Draining), asker);
    world.does(asker, WorkerEvent::RestartRequested);
    assert_eq!(world.states(), [Ready, Ready, Draining]);
}

#[test]
fn a_worker_that_disconnects_is_replaced_at_once_and_given_its_time() {
    let mut world = running(1);
    let leaver = the(&world, Ready);
    world.does(leaver, WorkerEvent::Disconnected);
    assert_eq!(world.states(), [Starting, Draining]);
    world.wait(500);
    assert_eq!(the(&world, Terminating), leaver);
    world.wait(200);
    assert!(world.told(&format!("Kill {{ worker: {leaver:?}")) > 0);
}

#[test]
fn an_incumbent_that_dies_leaves_its_seat_to_the_successor() {
    let mut world = running(1);
    world.restart();
    let incumbent = the(&world, Retiring);
    world.does(incumbent, WorkerEvent::Exited);
    assert_eq!(world.states(), [Starting]);
}

#[test]
fn a_crash_loop_backs_off_up_to_the_cap() {
    let mut world = running(1);
    let believed_in = the(&world, Ready);
    world.does(believed_in, WorkerEvent::Exited);
    let delays = [(); 5].map(|()| {
        let young = the(&world, Starting);
        world.does(young, WorkerEvent::Ready);
        world.does(young, WorkerEvent::Exited);
        let crashed = world.now;
        let waits = |world: &World| world.fleet.slots().any(|slot| slot.retry_at.is_some());
        assert!(waits(&world));
        world.step();
        assert!(!waits(&world), "what is over is not waited for");
        world.now - crashed
    });
    assert_eq!(delays, [50, 100, 200, 400, 400]);
}

#[test]
fn a_crash_after_long_health_is_a_first_one_again() {
    let mut world = running(1);
    let crash = |world: &mut World| {
        let young = the(world, Starting);
        world.does(young, WorkerEvent::Exited);
        let crashed = world.now;
        world.step();
        world.now - crashed
    };
    let healthy_for = |world: &mut World, millis| {
        let id = the(world, Starting);
        world.does(id, WorkerEvent::Ready);
        world.wait(millis);
        world.does(id, WorkerEvent::Exited);
    };
    let believed_in = the(&world, Ready);
    world.does(believed_in, WorkerEvent::Exited);
    assert_eq!([crash(&mut world), crash(&mut world)], [50, 100]);
    healthy_for(&mut world, 1_999);
    assert_eq!(crash(&mut world), 200, "not healthy for long enough");
    healthy_for(&mut world, 2_000);
    assert_eq!(crash(&mut world), 50);
}

#[test]
fn a_death_in_the_old_generation_is_no_failure_of_the_new() {
    let rules = Rules { start_attempts: NonZeroU32::MIN, ..rules() };
    let mut world = puppets_with(2, rules);
    all_ready(&mut world);
    let [_, believed_in] = world.ids()[..] else { panic!() };
    world.does(believed_in, WorkerEvent::Exited);
    let young = the(&world, Starting);
    world.does(young, WorkerEvent::Ready);
    world.restart();
    let wanted = world.fleet.wanted();
    world.does(young, WorkerEvent::Exited);
    assert_eq!(world.fleet.wanted(), wanted);
}

#[test]
fn scaling_down_keeps_the_surplus_until_those_we_keep_can_do_without() {
    let mut world = running(3);
    let in_slot_0 = world.ids()[0];
    world.does(in_slot_0, WorkerEvent::Exited);
    world.scale(2);
    assert_eq!(world.states(), [Starting, Ready, Ready]);
    let newcomer = the(&world, Starting);
    world.does(newcomer, WorkerEvent::Ready);
    assert_eq!(world.states(), [Ready, Ready, Draining]);
}

#[test]
fn scaling_up_starts_newcomers_during_a_roll() {
    let mut world = running(1);
    world.restart();
    world.scale(3);
    assert_eq!(world.states(), [Retiring, Starting, Starting, Starting]);
    world.natures = vec![Nature::GOOD];
    world.settle();
}

#[test]
fn a_worker_that_never_becomes_ready_is_pressed_harder_and_harder() {
    let mut world = puppets(1);
    let late = the(&world, Starting);
    world.wait(1_000);
    assert_eq!(in_state(&world, Terminating), [late]);
    world.does(late, WorkerEvent::Ready);
    assert_eq!(in_state(&world, Terminating), [late], "too late is too late");
    world.wait(199);
    world.step();
    assert_eq!(in_state(&world, Killed), [late]);
}

#[test]
fn a_boot_that_keeps_failing_is_given_up() {
    let mut world = puppets(2);
    while world.exit.is_none() {
        for id in in_state(&world, Starting) {
            world.does(id, WorkerEvent::Exited);
        }
        world.step();
    }
    assert_eq!(world.exit, Some(Outcome::GaveUp));
}

#[test]
fn stop_drains_the_ready_and_terminates_the_starting() {
    let mut world = running(2);
    world.restart();
    world.stop(Urgency::Graceful);
    assert_eq!(world.states(), [Terminating, Draining, Draining]);
    for id in world.ids() {
        world.does(id, WorkerEvent::Exited);
    }
    assert_eq!(world.exit, Some(Outcome::Stopped));
}

#[test]
fn a_second_graceful_stop_changes_nothing_and_an_immediate_one_kills() {
    let mut world = running(2);
    world.stop(Urgency::Graceful);
    let until: Vec<_> = world.fleet.workers().map(|view| view.until).collect();
    world.wait(50);
    world.stop(Urgency::Graceful);
    assert_eq!(world.fleet.workers().map(|view| view.until).collect::<Vec<_>>(), until);
    world.stop(Urgency::Immediate);
    assert_eq!(world.states(), [Killed, Killed]);
    world.wait(1);
    assert_eq!(world.exit, Some(Outcome::Forced));
}

#[test]
fn a_worker_that_outlives_sigkill_does_not_keep_us() {
    let one = NonZeroU16::MIN;
    let mut fleet = Fleet::new(Policy::new(rules()).unwrap(), one);
    let at = |millis| Timestamp::from_origin(Duration::from_millis(millis));
    fleet.tick(at(0));
    fleet.handle(at(0), Event::Command(Command::Stop(Urgency::Graceful)));
    fleet.tick(at(200));
    fleet.tick(at(700));
    assert_eq!(fleet.deadline(), Some(at(2_700)), "the kernel may take its time");
    fleet.tick(at(2_700));
    let last = std::iter::from_fn(|| fleet.next_action()).last();
    assert_eq!(last, Some(Action::Exit(Outcome::TimedOut)));
    assert_eq!(fleet.deadline(), None);
}

#[test]
fn an_init_that_was_frozen_past_its_time_leaves_nobody_unkilled() {
    let mut fleet = Fleet::new(Policy::new(rules()).unwrap(), NonZeroU16::MIN);
    let at = |millis| Timestamp::from_origin(Duration::from_millis(millis));
    fleet.tick(at(0));
    let Some(Action::Start { worker, .. }) = fleet.next_action() else { panic!() };
    fleet.handle(at(0), Event::Worker(worker, WorkerEvent::Ready));
    fleet.handle(at(0), Event::Command(Command::Stop(Urgency::Graceful)));
    fleet.tick(at(60_000));
    let actions: Vec<_> = std::iter::from_fn(|| fleet.next_action()).collect();
    let firmer = [
        Action::Announce(Milestone::AllReady(fleet_generation())),
        Action::Drain { worker, cause: LeaveCause::Stop },
        Action::Terminate { worker, cause: LeaveCause::Overstayed },
        Action::Kill { worker, cause: LeaveCause::Overstayed },
        Action::Exit(Outcome::TimedOut),
    ];
    assert_eq!(actions, firmer);
    assert_eq!(fleet.deadline(), None);
}

fn fleet_generation() -> dutch_master::Generation {
    running(1).fleet.wanted().unwrap()
}

#[test]
fn rules_that_contradict_themselves_are_refused_all_at_once() {
    let faults = Policy::new(Rules {
        watchdog: Some(Duration::ZERO),
        kill_timeout: rules().drain_timeout,
        backoff_cap: Duration::from_millis(49),
        max_lifetime: Some(Duration::from_millis(111)),
        ..rules()
    });
    let expected = vec![
        PolicyError::Zero { rule: "watchdog" },
        PolicyError::KillBeforeTerminate { least: rules().drain_timeout },
        PolicyError::BackoffInverted,
        PolicyError::LifetimeTooShort { least: rules().min_uptime },
    ];
    assert_eq!(faults, Err(expected));
}

#[test]
fn workers_are_numbered_from_one_on_and_no_number_comes_again() {
    let mut world = running(2);
    world.restart();
    let numbers: Vec<u64> = world.ids().iter().map(|id| id.get()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    let mut generations: Vec<u32> = world.generations().iter().map(|of| of.get()).collect();
    generations.sort_unstable();
    assert_eq!(generations, [1, 1, 2]);
}

#[test]
fn what_is_wrong_with_rules_is_said_by_name() {
    let least = Duration::from_millis(500);
    for (fault, says) in [
        (PolicyError::Zero { rule: "watchdog" }, "watchdog must not be zero"),
        (PolicyError::KillBeforeTerminate { least }, "must exceed drain_timeout (500ms)"),
        (PolicyError::BackoffInverted, "backoff_cap must not be below backoff_base"),
        (PolicyError::LifetimeTooShort { least }, "must exceed min_uptime (500ms)"),
    ] {
        assert!(fault.to_string().ends_with(says), "{fault}");
    }
}

#[test]
fn no_time_may_be_zero_that_could_mean_never() {
    let zero = Some(Duration::ZERO);
    let ms = Duration::ZERO;
    for (rule, rules) in [
        ("start_timeout", Rules { start_timeout: zero, ..rules() }),
        ("drain_timeout", Rules { drain_timeout: ms, ..rules() }),
        ("stop_timeout", Rules { stop_timeout: ms, ..rules() }),
        ("backoff_base", Rules { backoff_base: ms, ..rules() }),
    ] {
        assert_eq!(Policy::new(rules), Err(vec![PolicyError::Zero { rule }]));
    }
    let at_the_edge = Rules {
        kill_timeout: Duration::from_millis(501),
        backoff_cap: Duration::from_millis(50),
        max_lifetime: Some(Duration::from_millis(112)),
        ..rules()
    };
    assert!(Policy::new(at_the_edge).is_ok());
}

#[test]
fn a_wide_surge_rolls_everybody_at_once() {
    let rules = Rules { surge: Surge::Count(NonZeroU16::new(3).unwrap()), ..rules() };
    let mut world = puppets_with(3, rules);
    all_ready(&mut world);
    world.restart();
    assert_eq!(in_state(&world, Retiring).len(), 3);
}
