//! Each decision of the primary, in the words of workers.

use std::time::Duration;

use dutch_master::wire::node::{
    Fault, KEY_LIMIT, Target,
    primary::{Attachment, Effect, Event, Misdeed, Options, Remark},
};
use serde_json::Value;

use super::{SECOND, World, acts, handed, server, told};

#[test]
fn a_server_is_opened_once_and_served_to_everybody() {
    let mut world = World::round_robin();
    let effects = world.serving(1, None, 8000);
    let target = Target::Tcp { host: None, port: 8000, v6: false, v6only: false };
    assert_eq!(effects[0], Effect::Open { listener: 0, target, backlog: None, shared: false });
    let [reply] = &told(&effects, 1)[..] else { panic!() };
    assert_eq!((&reply["ack"], &reply["errno"]), (&8000.into(), &Value::Null));
    assert_eq!(reply["sockname"]["port"], 8000);
    assert!(effects.contains(&Effect::Watch { listener: 0, on: true }));
    let effects = world.serving(2, None, 8000);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Open { .. })));
    assert_eq!(told(&effects, 2).len(), 1);
}

#[test]
fn a_worker_is_ready_when_it_listens() {
    let mut world = World::round_robin();
    world.worker(1, None, 8000);
    assert!(!world.said.contains(&Effect::Ready(1)));
    let watched = Effect::Watch { listener: 0, on: true };
    assert_eq!(world.listening(1, 8000), [Effect::Ready(1), watched]);
    assert_eq!(world.listening(1, 8000), []);
}

#[test]
fn nobody_gets_a_connection_before_it_says_that_it_listens() {
    let mut world = World::round_robin();
    world.serving(1, None, 8000);
    world.worker(2, None, 8000);
    let (_, seq, _) = world.accept_for(0);
    assert!(!world.primary.wants_connection(0), "one has not answered, and the other not begun");
    world.listening(2, 8000);
    assert_eq!(world.accept_for(0).0, 2);
    world.answer(1, seq, true);
    assert_eq!(world.accept_for(0).0, 1);
}

#[test]
fn a_successor_is_ready_when_it_has_every_server_of_its_predecessor() {
    let mut world = World::round_robin();
    world.worker(1, None, 8000);
    world.listening(1, 8000);
    world.ask(1, 9000);
    world.listening(1, 9000);
    world.worker(2, Some(1), 8000);
    assert_eq!(world.listening(2, 8000), []);
    world.ask(2, 9000);
    assert_eq!(world.listening(2, 9000), [Effect::Ready(2)]);
}

#[test]
fn a_release_with_fewer_servers_is_ready_after_a_while() {
    let mut world = World::round_robin();
    world.worker(1, None, 8000);
    world.listening(1, 8000);
    world.ask(1, 9000);
    world.listening(1, 9000);
    world.worker(2, Some(1), 8000);
    world.listening(2, 8000);
    assert_eq!(world.primary.deadline(), Some(world.now.after(SECOND * 3)));
    let remark = Effect::Remark { member: 2, remark: Remark::FewerServers };
    assert_eq!(world.wait(SECOND * 3), [Effect::Ready(2), remark]);
    assert_eq!(world.primary.deadline(), None);
}

#[test]
fn connections_go_round_and_nobody_gets_a_second_one_unanswered() {
    let mut world = World::round_robin();
    world.serving(1, None, 8000);
    world.serving(2, None, 8000);
    let (first, seq, connection) = world.accept_for(0);
    let (second, ..) = world.accept_for(0);
    assert_eq!([first, second], [1, 2]);
    assert!(!world.primary.wants_connection(0) && !world.watched.contains(&0));
    let effects = world.answer(1, seq, true);
    let watch = Effect::Watch { listener: 0, on: true };
    assert_eq!(effects, [Effect::CloseConnection(connection), watch]);
    assert_eq!(world.accept_for(0).0, 1);
}

#[test]
fn a_connection_that_a_dead_worker_has_not_answered_goes_to_another() {
    for event in [Event::Closed { member: 1 }, Event::Exited { member: 1 }] {
        let mut world = World::round_robin();
        world.serving(1, None, 8000);
        world.serving(2, None, 8000);
        let (_, _, connection) = world.accept_for(0);
        let effects = world.event(event);
        assert_eq!(effects, [Effect::Left(1), Effect::Inspect(connection)]);
        let effects = world.inspected(connection);
        assert_eq!(handed(&effects)[0].0, 2);
    }
}

#[test]
fn a_connection_that_was_touched_is_closed() {
    let mut world = World::round_robin();
    world.serving(1, None, 8000);
    world.serving(2, None, 8000);
    let (_, _, connection) = world.accept_for(0);
    world.event(Event::Exited { member: 1 });
    let effects = world.event(Event::Inspected { connection, untouched: false });
    assert_eq!(effects, [Effect::CloseConnection(connection)]);
}

#[test]
fn a_rescued_connection_waits_until_somebody_comes() {
    let mut world = World::round_robin();
    world.serving(1, None, 8000);
    let (_, _, connection) = world.accept_for(0);
    world.event(Event::Exited { member: 1 });
    assert_eq!(world.inspected(connection), []);
    let effects = world.serving(2, None, 8000);
    assert_eq!(handed(&effects)[0].2, connection);
}

#[test]
fn a_worker_without_descriptors_rests_and_its_connection_goes_on() {
    let mut world = World::round_robin();
    world.serving(1, None, 8000);
    world.serving(2, None, 8000);
    let (_, _, connection) = world.accept_for(0);
    let effects = world.say(1, r#"{"cmd":"NODE_HANDLE_NACK"}"#);
    let starved = Effect::Remark { member: 1, remark: Remark::Starved };
    assert_eq!(effects, [starved, Effect::Inspect(connection)]);
    let effects = world.inspected(connection);
    let (member, seq, _) = handed(&effects)[0];
    assert_eq!(member, 2);
    world.answer(2, seq, true);
    assert_eq!([world.accept_for(0).0, u64::from(world.primary.wants_connection(0))], [2, 0]);
    world.wait(SECOND);
    assert_eq!(world.accept_for(0).0, 1);
}

#[test]
fn a_refused_connection_is_offered_to_the_others_without_haste() {
    let mut world = World::round_robin();
    world.serving(1, None, 8000);
    let (_, seq, connection) = world.accept_for(0);
    world.answer(1, seq, false);
    assert_eq!(world.inspected(connection), []);
    let effects = world.wait(Duration::from_millis(20));
    assert_eq!(handed(&effects)[0].2, connection);
}

#[test]
fn a_drained_worker_is_told_once_it_has_answered_and_been_quiet() {
    let mut world = World::round_robin();
    world.serving(1, None, 8000);
    world.serving(2, None, 8000);
    let (_, seq, _) = world.accept_for(0);
    assert_eq!(world.event(Event::Drain { member: 1 }), []);
    assert_eq!(world.accept_for(0).0, 2);
    assert_eq!(world.wait(SECOND), []);
    world.answer(1, seq, true);
    assert_eq!(world.wait(Duration::from_millis(299)), []);
    let effects = world.wait(Duration::from_millis(1));
    assert_eq!(acts(&effects, 1), ["disconnect"]);
    assert_eq!(world.event(Event::Closed { member: 1 }), [Effect::Drained(1)]);
    assert_eq!(world.event(Event::Exited { member: 1 }), []);
}

#[test]
fn an_idle_worker_is_told_after_the_pause_and_a_stuck_one_after_the_patience() {
    let mut world = World::round_robin();
    world.serving(1, None, 8000);
    world.serving(2, None, 8000);
    world.accept_for(0);
    world.event(Event::Drain { member: 1 });
    world.event(Event::Drain { member: 2 });
    assert_eq!(acts(&world.wait(SECOND / 2), 2), ["disconnect"]);
    assert_eq!(acts(&world.wait(SECOND * 5), 1), ["disconnect"]);
    assert_eq!(world.primary.deadline(), None);
}

#[test]
fn a_program_that_does_not_take_the_channel_is_drained_at_once() {
    let mut world = World::round_robin();
    world.event(Event::Joined { member: 1, replaces: None });
    assert_eq!(world.event(Event::Drain { member: 1 }), [Effect::Drained(1)]);
    world.wait(SECOND);
    assert_eq!(world.event(Event::Exited { member: 1 }), []);
}

#[test]
fn a_worker_that_leaves_is_confirmed_and_gets_nothing_more() {
    let mut world = World::round_robin();
    world.worker(1, None, 8000);
    let effects = world.say(1, r#"{"cmd":"NODE_CLUSTER","act":"exitedAfterDisconnect","seq":7}"#);
    assert_eq!(told(&effects, 1)[0]["ack"], 7);
    assert!(effects.contains(&Effect::Left(1)) && !world.primary.wants_connection(0));
    assert_eq!(world.event(Event::Drain { member: 1 }), []);
    assert_eq!(world.event(Event::Closed { member: 1 }), [Effect::Drained(1)]);
}

#[test]
fn a_worker_that_asks_for_its_restart_is_heard_in_each_dialect() {
    let mut world = World::round_robin();
    world.worker(1, None, 8000);
    for line in [r#"{"event":"request-restart"}"#, r#"{"cmd":"disconnect"}"#, r#""offline""#] {
        assert_eq!(world.say(1, line), [Effect::RestartRequested(1)], "{line}");
    }
}

#[test]
fn a_program_without_servers_is_ready_when_it_says_so() {
    let mut world = World::round_robin();
    world.event(Event::Joined { member: 1, replaces: None });
    assert_eq!(world.say(1, r#""ready""#), [Effect::Ready(1)]);
    world.worker(2, None, 8000);
    assert_eq!(world.say(2, r#""ready""#), []);
}

#[test]
fn an_address_in_use_reaches_the_program_and_can_be_tried_again() {
    let mut world = World::round_robin();
    world.event(Event::Joined { member: 1, replaces: None });
    world.say(1, &server("queryServer", 80));
    let effects = world.event(Event::Opened { listener: 0, outcome: Err(-98) });
    assert_eq!(told(&effects, 1)[0]["errno"], -98);
    let effects = world.ask(1, 80);
    assert!(matches!(effects[0], Effect::Open { listener: 1, .. }));
    assert_eq!(told(&effects, 1)[0]["errno"], Value::Null);
    let effects = world.ask(1, 80);
    assert_eq!(told(&effects, 1)[0]["errno"], -98, "two servers of one program on one port");
}

#[test]
fn a_descriptor_of_the_masters_is_given_by_allow_list_only() {
    let fd = r#"{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"address":null,"port":null,"addressType":null,"fd":5,"seq":1}"#;
    let mut world = World::round_robin();
    world.event(Event::Joined { member: 1, replaces: None });
    assert_eq!(told(&world.say(1, fd), 1)[0]["errno"], -9);
    let mut world = World::new(Options { allowed: vec![5], ..Options::default() });
    world.event(Event::Joined { member: 1, replaces: None });
    assert!(matches!(world.say(1, fd)[0], Effect::Open { target: Target::Fd(5), .. }));
}

#[test]
fn in_shared_mode_the_socket_itself_is_given_and_sent_again_when_lost() {
    let mut world = World::new(Options { shared: true, ..Options::default() });
    let effects = world.worker(1, None, 8000);
    let with = Some(Attachment::Listener(0));
    let is_share = |effect: &&Effect| matches!(effect, Effect::Send { with: w, .. } if *w == with);
    assert_eq!(effects.iter().filter(is_share).count(), 1);
    assert!(!world.primary.wants_connection(0));
    for _ in 0..2 {
        let effects = world.say(1, r#"{"cmd":"NODE_HANDLE_NACK"}"#);
        assert_eq!(effects.iter().filter(is_share).count(), 1);
    }
    let effects = world.say(1, r#"{"cmd":"NODE_HANDLE_NACK"}"#);
    assert_eq!(told(&effects, 1)[0]["errno"], -24);
    world.event(Event::Drain { member: 1 });
    assert_eq!(acts(&world.said, 1), ["disconnect"], "nothing is handed out: no pause is needed");
}

#[test]
fn udp_is_shared_in_either_mode() {
    let mut world = World::round_robin();
    world.event(Event::Joined { member: 1, replaces: None });
    let effects = world.say(
        1,
        r#"{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"address":"127.0.0.1","port":53,"addressType":"udp4","fd":-1,"flags":0,"seq":1}"#,
    );
    assert!(matches!(effects[0], Effect::Open { shared: true, .. }));
    let effects = world.event(Event::Opened { listener: 0, outcome: Ok(None) });
    assert_eq!(told(&effects, 1)[0]["type"], "dgram.Native");
}

#[test]
fn tls_data_of_the_first_worker_goes_to_all() {
    let query = |seq: u64, data: &str| {
        server("queryServer", 443)
            .replace("\"data\":null", &format!("\"data\":{data}"))
            .replace("\"seq\":443", &format!("\"seq\":{seq}"))
    };
    let mut world = World::round_robin();
    for (member, data) in [(1, r#"{"ticketKeys":"aa"}"#), (2, r#"{"ticketKeys":"bb"}"#)] {
        world.event(Event::Joined { member, replaces: None });
        world.say(member, &query(member, data));
        world.event(Event::Opened { listener: 0, outcome: Ok(None) });
    }
    for member in [1, 2] {
        assert_eq!(told(&world.said, member)[0]["data"]["ticketKeys"], "aa");
    }
}

#[test]
fn a_worker_that_closes_a_server_gets_no_more_of_its_connections() {
    let mut world = World::round_robin();
    world.serving(1, None, 8000);
    world.serving(2, None, 8000);
    world.close(1, 0);
    assert_eq!(world.accept_for(0).0, 2);
    assert!(!world.primary.wants_connection(0));
}

#[test]
fn a_listener_outlives_its_workers_until_the_fleet_is_at_rest() {
    let mut world = World::round_robin();
    world.worker(1, None, 8000);
    let effects = world.event(Event::Exited { member: 1 });
    assert!(!effects.contains(&Effect::CloseListener(0)));
    world.worker(2, None, 9000);
    assert_eq!(world.event(Event::Settled), [Effect::CloseListener(0)]);
}

#[test]
fn what_a_worker_sends_with_a_descriptor_is_acknowledged_and_closed() {
    let mut world = World::round_robin();
    world.worker(1, None, 8000);
    let bytes = b"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":{\"event\":\"request-restart\"}}\n";
    let effects = world.event(Event::Received { member: 1, bytes, descriptors: 1 });
    assert_eq!(effects[0], Effect::CloseDescriptors { member: 1, count: 1 });
    assert_eq!(told(&effects, 1)[0]["cmd"], "NODE_HANDLE_ACK");
    assert_eq!(effects[2], Effect::RestartRequested(1));
    let effects = world.event(Event::Received { member: 1, bytes, descriptors: 0 });
    assert_eq!(told(&effects, 1)[0]["cmd"], "NODE_HANDLE_NACK");
    let effects = world.event(Event::Received { member: 1, bytes: b"\n", descriptors: 3 });
    assert!(effects.contains(&Effect::CloseDescriptors { member: 1, count: 3 }), "strays");
}

#[test]
fn a_worker_that_goes_too_far_is_given_up_alone() {
    let gives_up = |misdeed, act: &dyn Fn(&mut World)| {
        let mut world = World::round_robin();
        world.serving(1, None, 8000);
        world.serving(2, None, 8000);
        act(&mut world);
        assert!(world.said.contains(&Effect::GaveUp { member: 1, misdeed }), "{misdeed:?}");
        assert_eq!(world.accept_for(0).0, 2);
        assert_eq!(world.say(1, r#"{"event":"request-restart"}"#), []);
    };
    gives_up(Misdeed::AnswersUnasked, &|world| {
        world.say(1, r#"{"cmd":"NODE_HANDLE_ACK"}"#);
    });
    gives_up(Misdeed::ReadsNothing, &|world| {
        world.event(Event::Clogged { member: 1 });
    });
    gives_up(Misdeed::TooManyDescriptors, &|world| {
        world.event(Event::Received { member: 1, bytes: b"{", descriptors: 17 });
    });
    gives_up(Misdeed::TooManyServers, &|world| {
        for port in 1..=u16::try_from(KEY_LIMIT).unwrap() {
            world.ask(1, port);
        }
    });
    gives_up(Misdeed::Babble(Fault::TooManyMalformed), &|world| {
        for _ in 0..=100 {
            world.say(1, "{oops");
        }
    });
}

#[test]
fn a_flood_silences_the_worker_that_sends_it_for_a_second() {
    let mut world = World::round_robin();
    world.worker(1, None, 8000);
    let bytes = b"1\n".repeat(50_001);
    let effects = world.event(Event::Received { member: 1, bytes: &bytes, descriptors: 0 });
    assert_eq!(effects, [Effect::Listen { member: 1, on: false }]);
    assert_eq!(world.primary.deadline(), Some(world.now.after(SECOND)));
    assert_eq!(world.wait(SECOND), [Effect::Listen { member: 1, on: true }]);
    assert_eq!(world.primary.deadline(), None);
}

#[test]
fn bun_is_remarked_on() {
    let mut world = World::round_robin();
    world.event(Event::Joined { member: 1, replaces: None });
    let effects = world.say(1, "\u{2}{\"act\":\"online\",\"seq\":0}");
    assert_eq!(effects, [Effect::Remark { member: 1, remark: Remark::IsBun }]);
    assert_eq!(
        world.say(1, "\u{2}{\"act\":\"listening\",\"port\":1,\"addressType\":4,\"seq\":1}"),
        [Effect::Ready(1)]
    );
    // Bun 1.4 gives it no number.
    world.event(Event::Joined { member: 2, replaces: None });
    world.say(2, "\u{2}{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\",\"seq\":0}");
    let listening = "\u{2}{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\",\"port\":8000,\"data\":null,\
                     \"address\":null,\"addressType\":4}";
    assert_eq!(world.say(2, listening), [Effect::Ready(2)]);
}
