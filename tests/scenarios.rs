//! One story a test: what the fleet does, in the words an operator would use.
#![cfg(any())]
#![allow(clippy::panic)]

mod world;

use std::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use dutch_master::{
    Action, Command, Event, Fleet, Milestone, Outcome, Policy, PolicyError, Rules, Timestamp,
    Urgency, WorkerEvent, WorkerId,
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
    assert!(matches!(world.milestones[..], [Milestone::Settled(_)]));
}

#[test]
fn a_roll_lets_nobody_go_before_a_successor_is_ready() {
    let mut world = running(2);
    world.restart();
    assert_eq!(world.states(), [Retiring, Starting, Ready]);
    let successor = the(&world, Starting);
    world.does(successor, WorkerEvent::Ready);
    assert_eq!(world.states(), [Ready, Ready, Draining]);
}

#[test]
fn a_roll_waits_for_the_drained_when_surge_is_spent() {
    let mut world = running(2);
    world.restart();
    let successor = the(&world, Starting);
    world.does(successor, WorkerEvent::Ready);
    let drained = the(&world, Draining);
    assert_eq!(in_state(&world, Starting), []);
    world.does(drained, WorkerEvent::Exited);
    assert_eq!(world.states(), [Ready, Retiring, Starting]);
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
    let starts = world.trace.iter().filter(|line| line.contains("Start {")).count();
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
    for _ in 0..3 {
        let successor = the(&world, Starting);
        world.does(successor, WorkerEvent::Exited);
        world.wait(100);
        world.wait(100);
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
        world.wait(400);
        let young = the(&world, Starting);
        world.does(young, WorkerEvent::Ready);
        world.does(young, WorkerEvent::Exited);
    }
    assert_eq!(world.fleet.wanted(), good);
    assert!(in_state(&world, Starting).len() == 1, "the good one need not wait");
}

#[test]
fn a_generation_given_up_on_does_not_take_over_after_all() {
    let mut world = puppets_with(2, Rules { surge: NonZeroU16::new(2).unwrap(), ..rules() });
    all_ready(&mut world);
    let old = world.ids();
    world.restart();
    let [late, _] = in_state(&world, Starting)[..] else { panic!() };
    for _ in 0..3 {
        let failing = in_state(&world, Starting)[1];
        world.does(failing, WorkerEvent::Exited);
        world.wait(200);
    }
    world.does(late, WorkerEvent::Ready);
    assert_eq!(in_state(&world, Ready), old);
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
    assert!(world.trace.iter().any(|line| line.contains(&format!("Kill({leaver:?})"))));
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
        world.step();
        world.now - crashed
    });
    assert_eq!(delays, [50, 100, 200, 400, 400]);
}

#[test]
fn a_crash_long_after_the_last_is_a_first_one_again() {
    let mut world = running(1);
    let crash = |world: &mut World| {
        let young = the(world, Starting);
        world.does(young, WorkerEvent::Exited);
        let crashed = world.now;
        world.step();
        world.now - crashed
    };
    let believed_in = the(&world, Ready);
    world.does(believed_in, WorkerEvent::Exited);
    assert_eq!([crash(&mut world), crash(&mut world)], [50, 100]);
    world.wait(500);
    assert_eq!(crash(&mut world), 50);
}

#[test]
fn a_death_in_the_old_generation_is_no_failure_of_the_new() {
    let rules = Rules { failure_limit: NonZeroU32::MIN, ..rules() };
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
fn a_quick_stop_after_a_graceful_one_hurries_it() {
    let mut world = running(2);
    world.stop(Urgency::Graceful);
    assert_eq!(world.states(), [Draining, Draining]);
    world.stop(Urgency::Quick);
    assert_eq!(world.states(), [Terminating, Terminating]);
}

#[test]
fn a_worker_that_outlives_sigkill_does_not_keep_us() {
    let one = NonZeroU16::MIN;
    let mut fleet = Fleet::new(Policy::new(rules()).unwrap(), one);
    let at = |millis| Timestamp::from_origin(Duration::from_millis(millis));
    fleet.tick(at(0));
    fleet.handle(at(0), Event::Command(Command::Stop(Urgency::Graceful)));
    fleet.tick(at(200));
    fleet.tick(at(1_000));
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
    let exit = Action::Exit(Outcome::TimedOut);
    let firmer = [Action::Drain(worker), Action::Terminate(worker), Action::Kill(worker), exit];
    assert_eq!(actions, firmer);
}

#[test]
fn rules_that_contradict_themselves_are_refused() {
    let refused = |rules| Policy::new(rules).unwrap_err();
    let zero = Rules { drain_timeout: Duration::ZERO, ..rules() };
    assert_eq!(refused(zero), PolicyError::Zero { rule: "drain_timeout" });
    let hasty = Rules { stop_timeout: Duration::from_millis(700), ..rules() };
    assert_eq!(refused(hasty), PolicyError::StopBeforeKill { least: hasty.stop_timeout });
    let inverted = Rules { backoff_cap: Duration::from_millis(1), ..rules() };
    assert_eq!(refused(inverted), PolicyError::BackoffInverted);
}

#[test]
fn a_wide_surge_rolls_everybody_at_once() {
    let rules = Rules { surge: NonZeroU16::new(3).unwrap(), ..rules() };
    let mut world = puppets_with(3, rules);
    all_ready(&mut world);
    world.restart();
    assert_eq!(in_state(&world, Retiring).len(), 3);
}
