//! Stories of how the whole fleet stops, and of how long anybody may take to go.

use super::*;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn lame(workers: u16) -> World {
    let mut world = puppets_with(workers, Rules { shutdown_delay: millis(300), ..rules() });
    all_ready(&mut world);
    world
}

#[test]
fn on_stop_the_ready_go_on_serving_for_a_while_and_nobody_is_started() {
    let mut world = lame(2);
    world.restart();
    assert!(!world.fleet.is_stopping() && world.fleet.wanted().is_some());
    assert_eq!((world.fleet.target(), world.fleet.ready_count()), (2, 2));
    world.stop(Urgency::Graceful);
    assert_eq!(world.states(), [Ready, Ready, Terminating]);
    assert!(world.fleet.is_stopping() && world.fleet.wanted().is_none());
    assert_eq!((world.fleet.target(), world.fleet.ready_count()), (0, 2));
    let crashed = in_state(&world, Ready)[0];
    world.does(crashed, WorkerEvent::Exited);
    world.restart();
    world.scale(3);
    assert_eq!(world.states(), [Ready, Terminating]);
    world.wait(299);
    assert_eq!(in_state(&world, Ready).len(), 1);
    world.wait(1);
    assert_eq!(in_state(&world, Draining).len(), 1);
}

#[test]
fn the_delay_is_over_once_nobody_serves() {
    let mut world = lame(1);
    world.stop(Urgency::Graceful);
    let last = the(&world, Ready);
    world.does(last, WorkerEvent::Exited);
    assert_eq!(world.exit, Some(Outcome::Stopped));
}

#[test]
fn a_worker_that_leaves_during_the_delay_gets_its_time() {
    let mut world = lame(2);
    world.stop(Urgency::Graceful);
    let leaver = world.ids()[0];
    world.does(leaver, WorkerEvent::Disconnected);
    assert_eq!(world.states(), [Ready, Draining]);
}

#[test]
fn an_immediate_stop_during_the_delay_kills_everybody() {
    let mut world = lame(2);
    world.stop(Urgency::Graceful);
    world.stop(Urgency::Immediate);
    assert_eq!(world.states(), [Killed, Killed]);
}

#[test]
fn an_immediate_stop_out_of_the_blue_kills_everybody() {
    let mut world = running(2);
    world.restart();
    world.stop(Urgency::Immediate);
    assert_eq!(world.states(), [Killed, Killed, Killed]);
    assert_eq!(world.told("cause: Immediate"), 3);
    world.wait(1);
    assert_eq!(world.exit, Some(Outcome::Forced));
}

#[test]
fn a_worker_that_says_it_has_finished_gets_the_stop_signal_at_once() {
    let mut world = running(1);
    world.stop(Urgency::Graceful);
    let id = world.ids()[0];
    world.does(id, WorkerEvent::Drained);
    assert_eq!(world.states(), [Terminating]);
    assert_eq!(world.told("cause: Drained"), 1);
    world.does(id, WorkerEvent::Drained);
    assert_eq!(world.told("cause: Drained"), 1);
}

#[test]
fn a_worker_that_was_not_told_to_drain_cannot_have_finished() {
    let mut world = running(1);
    let id = world.ids()[0];
    world.does(id, WorkerEvent::Drained);
    assert_eq!(world.states(), [Ready]);
}

#[test]
fn the_time_to_be_killed_counts_from_the_first_word() {
    let mut world = running(1);
    world.restart();
    let successor = the(&world, Starting);
    world.does(successor, WorkerEvent::Ready);
    let old = the(&world, Draining);
    world.wait(100);
    world.does(old, WorkerEvent::Drained);
    world.wait(599);
    assert_eq!(in_state(&world, Terminating), [old]);
    world.step();
    assert_eq!(in_state(&world, Killed), [old]);
}

#[test]
fn a_stop_has_its_own_time_and_the_drain_its_share_of_it() {
    let hasty = Rules { stop_timeout: millis(70), ..rules() };
    let mut world = puppets_with(2, hasty);
    all_ready(&mut world);
    world.stop(Urgency::Graceful);
    world.wait(49);
    assert_eq!(world.states(), [Draining, Draining]);
    world.wait(1);
    assert_eq!(world.states(), [Terminating, Terminating]);
    world.wait(19);
    assert_eq!(world.states(), [Terminating, Terminating]);
    world.step();
    assert_eq!(world.states(), [Killed, Killed]);
    world.step();
    assert_eq!(world.exit, Some(Outcome::Forced));
}

#[test]
fn a_stop_hastens_those_who_were_leaving_already() {
    let mut world = puppets_with(1, Rules { stop_timeout: millis(70), ..rules() });
    all_ready(&mut world);
    let leaver = the(&world, Ready);
    world.does(leaver, WorkerEvent::Disconnected);
    world.stop(Urgency::Graceful);
    world.wait(71);
    assert_eq!(world.exit, Some(Outcome::Forced));
}

#[test]
fn who_was_killed_before_the_stop_did_not_force_it() {
    let mut world = puppets(1);
    world.wait(1_000);
    while in_state(&world, Killed).is_empty() {
        world.step();
    }
    world.stop(Urgency::Graceful);
    for id in world.ids() {
        world.does(id, WorkerEvent::Exited);
    }
    assert_eq!(world.exit, Some(Outcome::Stopped));
}

#[test]
fn a_boot_that_was_given_up_says_so_even_if_it_had_to_kill() {
    let mut world = puppets_with(2, Rules { start_attempts: NonZeroU32::MIN, ..rules() });
    while world.exit.is_none() && world.step() {}
    assert_eq!(world.exit, Some(Outcome::GaveUp));
}

#[test]
fn status_tells_since_when_and_until_when() {
    let mut world = running(1);
    world.wait(50);
    world.stop(Urgency::Graceful);
    let at = |millis| Timestamp::from_origin(Duration::from_millis(millis));
    let view = world.fleet.workers().next().unwrap();
    assert_eq!((view.started_at, view.since, view.until), (at(0), at(150), Some(at(650))));
}

#[test]
fn status_tells_of_a_slot_that_waits() {
    let mut world = puppets(1);
    let id = the(&world, Starting);
    world.does(id, WorkerEvent::Exited);
    let slot = world.fleet.slots().next().unwrap();
    assert!(slot.is_vacant && slot.failures == 1 && slot.retry_at == world.fleet.deadline());
}
