//! How much a worker may have, ask and say, and what is shown and written of it.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use dutch_master::wire::node::{
    Fault, KEY_LIMIT, UNCLAIMED_LIMIT, UNUSED_LIMIT,
    primary::{Effect, Event, Misdeed, Options, Remark},
};

use super::{SECOND, World, acts, server, told};

/// Says many lines at once, and opens what is asked for after all have been heard.
fn burst(world: &mut World, member: u64, lines: impl Iterator<Item = String>) -> Vec<Effect> {
    let bytes: String = lines.map(|line| line + "\n").collect();
    let received = Event::Received { member, bytes: bytes.as_bytes(), descriptors: 0 };
    let mut effects = VecDeque::from(world.event(received));
    let mut seen = vec![];
    while let Some(effect) = effects.pop_front() {
        if let Effect::Open { listener, .. } = effect {
            effects.extend(world.event(Event::Opened { listener, outcome: Ok(None) }));
        }
        seen.push(effect);
    }
    seen
}

fn asking(count: usize) -> impl Iterator<Item = String> {
    (1..=count).map(|port| server("queryServer", port.try_into().unwrap()))
}

fn keys(world: &World, whose: u64) -> usize {
    world.primary.members().find(|view| view.member == whose).unwrap().keys.len()
}

#[test]
fn servers_that_are_asked_for_in_one_breath_are_counted_too() {
    let mut world = World::round_robin();
    world.event(Event::Joined { member: 1, replaces: None });
    let gave_up = Effect::GaveUp { member: 1, misdeed: Misdeed::TooManyServers };
    assert!(!burst(&mut world, 1, asking(KEY_LIMIT)).contains(&gave_up));
    assert_eq!(keys(&world, 1), KEY_LIMIT);
    let mut world = World::round_robin();
    world.event(Event::Joined { member: 1, replaces: None });
    assert!(burst(&mut world, 1, asking(KEY_LIMIT + 1)).contains(&gave_up));
    assert!(keys(&world, 1) <= KEY_LIMIT);
}

#[test]
fn of_servers_that_nobody_has_any_more_the_newest_beyond_the_limit_are_closed() {
    let mut world = World::round_robin();
    world.serving(1, None, 8000);
    let key = world.primary.key_of(0).unwrap();
    let close = |port| {
        let key = key.replace("8000", &format!("{port}"));
        format!(r#"{{"cmd":"NODE_CLUSTER","act":"close","key":"{key}","seq":5}}"#)
    };
    let lines = (1..=200).flat_map(|port| [server("queryServer", port), close(port)]);
    let effects = burst(&mut world, 1, lines);
    let opened = effects.iter().filter(|effect| matches!(effect, Effect::Open { .. })).count();
    let closed = effects.iter().filter_map(|effect| match effect {
        Effect::CloseListener(listener) => Some(*listener),
        _ => None,
    });
    let expected = u64::try_from(UNUSED_LIMIT).unwrap() + 1..=200;
    assert_eq!((opened, closed.collect::<Vec<_>>()), (200, expected.collect()));
}

#[test]
fn descriptors_may_come_before_their_message_up_to_the_limit() {
    let mut world = World::round_robin();
    world.worker(1, None, 8000);
    let descriptors = UNCLAIMED_LIMIT;
    assert_eq!(world.event(Event::Received { member: 1, bytes: b"{", descriptors }), []);
    let gave_up = Effect::GaveUp { member: 1, misdeed: Misdeed::TooManyDescriptors };
    let effects = world.event(Event::Received { member: 1, bytes: b" ", descriptors: 1 });
    let closed = Effect::CloseDescriptors { member: 1, count: descriptors + 1 };
    assert_eq!(effects, [closed, gave_up]);
}

#[test]
fn a_worker_that_acknowledges_nothing_is_handed_no_more_than_it_may_have_under_way() {
    let mut world = World::round_robin();
    world.serving(1, None, 8000);
    world.ask(1, 9000);
    let mut handed = 0;
    while handed < 9 && world.primary.wants_connection(0) {
        let (_, seq, _) = world.accept_for(0);
        world.say(1, &format!(r#"{{"cmd":"NODE_CLUSTER","ack":{seq},"accepted":true,"seq":9}}"#));
        handed += 1;
    }
    assert_eq!(handed, 3, "one connection, and one message for each server");
    world.say(1, r#"{"cmd":"NODE_HANDLE_ACK"}"#);
    assert_eq!(world.accept_for(0).0, 1);
}

#[test]
fn a_worker_that_acknowledges_none_of_the_sockets_that_it_gets_is_given_up() {
    let mut world = World::new(Options { shared: true, ..Options::default() });
    world.event(Event::Joined { member: 1, replaces: None });
    let gave_up = Effect::GaveUp { member: 1, misdeed: Misdeed::ReadsNothing };
    for _ in 0..=KEY_LIMIT {
        assert!(told(&world.ask(1, 8000), 1)[0]["errno"].is_null());
        world.close(1, 0);
    }
    assert!(world.ask(1, 8000).contains(&gave_up));
}

#[test]
fn a_server_that_a_worker_has_closed_can_be_asked_for_again() {
    let mut world = World::round_robin();
    world.serving(1, None, 8000);
    world.ask(1, 9000);
    world.close(1, 0);
    assert_eq!(keys(&world, 1), 1);
    assert!(told(&world.ask(1, 8000), 1)[0]["errno"].is_null());
    assert_eq!(keys(&world, 1), 2);
}

#[test]
fn a_server_that_is_being_opened_is_for_all_who_ask_once_and_still_live() {
    let mut world = World::round_robin();
    for member in [1, 2, 3] {
        world.event(Event::Joined { member, replaces: None });
        assert_eq!(told(&world.say(member, &server("queryServer", 80)), member).len(), 0);
    }
    let twice = world.say(2, &server("queryServer", 80));
    assert_eq!(told(&twice, 2)[0]["errno"], -98, "two servers of one program on one port");
    world.event(Event::Exited { member: 1 });
    let effects = world.event(Event::Opened { listener: 0, outcome: Ok(None) });
    for (member, replies) in [(1, 0), (2, 1), (3, 1)] {
        assert_eq!(told(&effects, member).len(), replies, "{member}");
    }
    world.event(Event::Exited { member: 2 });
    world.event(Event::Exited { member: 3 });
    assert_eq!(world.event(Event::Settled), [Effect::CloseListener(0)]);
}

#[test]
fn a_worker_that_serves_gets_nothing_from_a_later_server_before_it_says_that_it_listens() {
    let mut world = World::round_robin();
    world.serving(1, None, 8000);
    world.ask(1, 9000);
    assert!(world.primary.wants_connection(0) && !world.primary.wants_connection(1));
    world.listening(1, 9000);
    assert!(world.primary.wants_connection(1));
}

#[test]
fn a_worker_that_listens_on_what_nobody_gave_it_is_taken_to_listen_everywhere() {
    let mut world = World::round_robin();
    world.worker(1, None, 8000);
    world.ask(1, 9000);
    world.listening(1, 7000);
    assert!(world.primary.wants_connection(0) && world.primary.wants_connection(1));
}

#[test]
fn a_successor_that_has_closed_what_it_opened_is_not_found_ready_by_waiting() {
    let mut world = World::round_robin();
    world.serving(1, None, 8000);
    world.ask(1, 9000);
    world.listening(1, 9000);
    world.serving(2, Some(1), 8000);
    world.close(2, 0);
    assert_eq!(world.primary.deadline(), None);
    assert_eq!(world.wait(SECOND * 3), []);
}

#[test]
fn of_any_port_and_the_same_by_number_the_number_listens() {
    let mut world = World::round_robin();
    world.event(Event::Joined { member: 1, replaces: None });
    world.ask(1, 0);
    world.ask(1, 8000);
    world.listening(1, 8000);
    assert!(!world.primary.wants_connection(0) && world.primary.wants_connection(1));
    world.listening(1, 8000);
    assert!(world.primary.wants_connection(0));
}

#[test]
fn a_successor_may_open_its_servers_in_any_order() {
    for [first, last] in [[8000, 9000], [9000, 8000]] {
        let mut world = World::round_robin();
        world.serving(1, None, 8000);
        world.ask(1, 9000);
        world.listening(1, 9000);
        assert!(!world.serving(2, Some(1), first).contains(&Effect::Ready(2)));
        world.ask(2, last);
        assert!(world.listening(2, last).contains(&Effect::Ready(2)));
    }
}

#[test]
fn of_two_connections_each_is_answered_for_itself() {
    let in_flight = 2.try_into().unwrap();
    let mut world = World::new(Options { in_flight, ..Options::default() });
    world.serving(1, None, 8000);
    let (_, first_seq, first) = world.accept_for(0);
    let (_, second_seq, second) = world.accept_for(0);
    assert!(!world.primary.wants_connection(0));
    assert!(world.answer(1, second_seq, true).contains(&Effect::CloseConnection(second)));
    assert_eq!(world.answer(1, first_seq, false)[0], Effect::Inspect(first));
}

#[test]
fn a_worker_is_shown_as_it_stands() {
    let mut world = World::round_robin();
    let stands = |world: &World| {
        let view = world.primary.members().next().unwrap();
        (view.is_online, view.is_serving, view.is_ready)
    };
    world.event(Event::Joined { member: 1, replaces: None });
    assert_eq!(stands(&world), (false, true, false));
    world.say(1, r#"{"cmd":"NODE_CLUSTER","act":"online","seq":0}"#);
    assert_eq!(stands(&world), (true, true, false));
    world.ask(1, 8000);
    world.listening(1, 8000);
    assert_eq!(stands(&world), (true, true, true));
    world.event(Event::Drain { member: 1 });
    assert_eq!(stands(&world), (true, false, true));
}

#[test]
fn a_worker_that_has_only_come_online_is_told_to_disconnect_all_the_same() {
    let mut world = World::round_robin();
    world.worker(1, None, 8000);
    assert_eq!(world.event(Event::Drain { member: 1 }), []);
    assert_eq!(acts(&world.wait(SECOND), 1), ["disconnect"]);
}

#[test]
fn a_worker_whose_channel_is_gone_is_drained_at_once_and_once() {
    let mut world = World::round_robin();
    world.serving(1, None, 8000);
    world.event(Event::Closed { member: 1 });
    assert_eq!(world.event(Event::Drain { member: 1 }), [Effect::Drained(1)]);
    assert_eq!(world.event(Event::Drain { member: 1 }), []);
}

#[test]
fn a_program_that_closes_a_channel_which_it_never_used_has_not_left() {
    let mut world = World::round_robin();
    world.event(Event::Joined { member: 1, replaces: None });
    assert_eq!(world.event(Event::Closed { member: 1 }), []);
    world.event(Event::Joined { member: 2, replaces: None });
    world.say(2, r#"{"cmd":"NODE_CLUSTER","act":"online","seq":0}"#);
    assert_eq!(world.event(Event::Closed { member: 2 }), [Effect::Left(2)]);
}

#[test]
fn a_worker_whose_channel_is_gone_has_no_servers_any_more_and_gets_none() {
    let mut world = World::round_robin();
    world.serving(1, None, 8000);
    world.say(1, &server("queryServer", 9000));
    world.event(Event::Closed { member: 1 });
    assert_eq!(world.event(Event::Opened { listener: 1, outcome: Ok(None) }), []);
    assert_eq!(keys(&world, 1), 0);
    let closed = [Effect::CloseListener(0), Effect::CloseListener(1)];
    assert_eq!(world.event(Event::Settled), closed);
}

#[test]
fn what_a_worker_may_say_in_a_second_is_counted_to_the_message() {
    let mut world = World::round_robin();
    world.worker(1, None, 8000);
    let say = |world: &mut World, count: usize| {
        let bytes = b"1\n".repeat(count);
        world.event(Event::Received { member: 1, bytes: &bytes, descriptors: 0 })
    };
    world.wait(SECOND);
    assert_eq!(say(&mut world, 50_000), []);
    world.wait(SECOND);
    assert_eq!(say(&mut world, 49_999), [], "a new second");
    world.wait(Duration::from_millis(999));
    assert_eq!(say(&mut world, 1), []);
    assert_eq!(say(&mut world, 1), [Effect::Listen { member: 1, on: false }]);
}

#[test]
fn what_a_worker_may_say_in_a_second_is_counted_to_the_byte() {
    let mut world = World::round_robin();
    world.event(Event::Joined { member: 1, replaces: None });
    let mut line = vec![b'1'; 1 << 20];
    line[(1 << 20) - 1] = b'\n';
    for _ in 0..16 {
        let said = Event::Received { member: 1, bytes: &line, descriptors: 0 };
        assert!(!world.event(said).contains(&Effect::Listen { member: 1, on: false }));
    }
    let said = Event::Received { member: 1, bytes: b"1", descriptors: 0 };
    assert_eq!(world.event(said), [Effect::Listen { member: 1, on: false }]);
}

#[test]
fn each_misdeed_has_a_sentence_of_its_own() {
    let misdeeds = [
        Misdeed::Babble(Fault::LineTooLong),
        Misdeed::TooManyServers,
        Misdeed::TooManyDescriptors,
        Misdeed::AnswersUnasked,
        Misdeed::ReadsNothing,
    ];
    let sentences = BTreeSet::from(misdeeds.map(|misdeed| misdeed.to_string()));
    assert!(sentences.len() == misdeeds.len() && !sentences.contains(""), "{sentences:?}");
}

#[test]
fn why_a_server_was_refused_is_said_by_the_name_of_the_error() {
    let names = [
        (-98, "EADDRINUSE"),
        (-99, "EADDRNOTAVAIL"),
        (-13, "EACCES"),
        (-9, "EBADF: listen({fd}) is for the sockets of LISTEN"),
        (-22, "errno -22"),
    ];
    for (errno, name) in names {
        let said = Remark::Refused { key: "null:80:4::0".into(), errno }.to_string();
        assert!(said.contains("null:80:4::0") && said.contains(name), "{said}");
    }
}
